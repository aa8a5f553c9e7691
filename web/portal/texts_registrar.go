package portal

// registrarTexts are of the pages of requests, people and tokens.
var registrarTexts = map[string]text{}
