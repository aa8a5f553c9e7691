// Package spnego reads and writes the tokens of HTTP's scheme Negotiate (RFC 4559), as far as Kerberos with one message each
// way goes: the client's NegTokenInit with an AP-REQ, and the server's NegTokenResp, with an AP-REP where the client asked
// for one (RFC 4178, 4121, 4120).
//
// It says what a token holds, and whether an answer is to what was sent. Whether an AP-REQ is good, to whom, and who its
// principal is for us, is for the server to decide (package web/signin). It knows no NTLM.
package spnego
