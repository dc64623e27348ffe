// Package engine brings the pure rules of package signals together with the
// database: it keeps a day of positions in memory, looks at them as each
// boundary saw them, and writes what comes of it if health still allows.
//
// Memory is a copy of what is stored: before each look it is brought in line with
// the runs, the dirty rows and the oldest row of the database, so that a restart,
// a minute that came late, a row that an operator marked or old rows that he
// deleted cannot make two computations of the same boundary differ. Only a size
// that is changed in place is not noticed before a restart. The live job, the
// audit and the replay all look through the same eyes.
package engine
