package portal

// officerTexts are of the pages of recovery cases and the roster.
var officerTexts = map[string]text{}
