// Package audit is the record of everything Sealpost did or refused, and of who asked for it. It owns the schema audit.
//
// A room calls Append in the transaction of the act itself: neither exists without the other. Refusals, which change
// nothing, are recorded in a transaction of their own.
//
// It knows no room: what kinds of events there are, and what their data means, is theirs. It is no log for operators:
// that is log/slog.
package audit
