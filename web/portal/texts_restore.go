package portal

// restoreTexts are of the pages of older keys on a new device.
var restoreTexts = map[string]text{}
