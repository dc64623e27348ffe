package test

var alertSpamDays, boardTruthDays, crashDays []day
