package test

// The game days of the other runbooks.
var dirtySpikeDays, alertSpamDays, boardTruthDays, databaseDays, haltDays, crashDays []day
