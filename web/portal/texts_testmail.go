package portal

// testMailTexts are of the pages of the test mail.
var testMailTexts = map[string]text{}
