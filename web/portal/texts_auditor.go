package portal

// auditorTexts are of the pages of the record.
var auditorTexts = map[string]text{}
