package ocsp

// Parse reads a request.
var Parse = parse
