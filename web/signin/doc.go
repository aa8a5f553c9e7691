// Package signin finds out who is asking: by client certificate, enrolment token, Kerberos ticket, an identity provider's ID token, login
// and password, or the session that one of these began. Each is an
// Authenticator; all of them end in one Caller with one audit.Actor.
//
// It owns how often somebody may fail at it (Attempts). Who people are and what their roles are is package directory's.
package signin
