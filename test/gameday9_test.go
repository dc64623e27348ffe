package test

// The game days of the other runbooks.
var universeDays, signalLockDays, dirtySpikeDays, alertSpamDays, boardTruthDays, databaseDays, haltDays, crashDays []day
