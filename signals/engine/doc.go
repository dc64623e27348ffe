// Package engine brings the pure rules of package signals together with the
// database: it keeps a day of positions in memory, looks at them as each
// boundary saw them, and writes what comes of it if health still allows.
//
// Memory is a copy of what is stored and never knows more: before each look it
// is brought in line with the database, so that a restart, a minute that came
// late or a row that an operator marked by hand cannot make two computations of
// the same boundary differ. The live job, the audit and the replay all look
// through the same eyes.
package engine
