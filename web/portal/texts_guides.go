package portal

// guidesTexts are of the pages of how certificates get into mail programs.
var guidesTexts = map[string]text{}
