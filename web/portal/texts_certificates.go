package portal

// certificatesTexts are of the pages of what people have, renew, revoke and get again.
var certificatesTexts = map[string]text{}
