package portal

// operatorTexts are of the pages of how the installation stands.
var operatorTexts = map[string]text{}
