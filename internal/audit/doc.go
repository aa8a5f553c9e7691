// Package audit is the record of everything Sealpost did or refused, and of who asked for it; a record that cannot be
// changed unseen, not even by those who keep it. It owns the schema audit.
//
// # How an event gets into the log
//
// A room calls Append in the transaction of the act itself: neither exists without the other. Refusals, which change
// nothing, go in a transaction of their own (Log.Record). At that moment an event has a row and a hash, but no place in
// the log: an index handed out inside the act's transaction would make every act wait for the one before it.
//
// A moment later the sequencer (Log.Run) takes the committed events and gives them the indexes 0, 1, 2 …, extends a
// Merkle tree with their hashes (RFC 6962), and signs its new root: a checkpoint. Any number of servers may run it; an
// advisory lock lets one work at a time. A pass is one transaction, so a crash leaves all of it or nothing.
//
// Every server then hands the newest checkpoint to its sinks: a file, a system log, an address. That is what makes the
// log evidence against the server itself: who can rewrite the database, and sign, cannot take back what others keep.
//
// # What can be shown
//
// Log.Inclusion proves that an event is in the log, Log.Consistency that the log only grew; package proof checks both
// without a database. Verify reads everything and names the first row that was altered, removed, moved or put in.
//
// It knows no room: what kinds of events there are, and what their data means, is theirs. It is no log for operators:
// that is log/slog.
package audit
