package keys

// Parse is parse, for fuzzing.
var Parse = parse

// CheckPBES2 is checkPBES2, for fuzzing.
var CheckPBES2 = checkPBES2
