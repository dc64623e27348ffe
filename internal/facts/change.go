package facts

// Change is what somebody did to something of ours in the database.
type Change struct {
	Text string // in a sentence that begins with the object
	Undo string // the statement that takes it back, each name quoted; "": migrating does, or nobody can say
}
