package test

// The game days of the other runbooks.
var alertSpamDays, boardTruthDays, databaseDays, crashDays []day
