// Package directory is the company's directory, over LDAP: it looks people up, lets them prove their password, puts
// certificates into their entries and takes them out again, and keeps the entries of certificate authorities.
//
// It owns the connections, the dialects (OpenLDAP and its kin, Active Directory), the reading of names and mailboxes,
// the mapping of the directory's entries to person ids, and who has which role by which group. It does not decide which
// certificate belongs into an entry (package gal), which revocation list is current (package crl), or who may do what.
// It is the only package that speaks LDAP.
//
// # Persons
//
// A person's id is a UUID that is minted when the entry is first seen, and stored beside the directory's own immutable
// id of that entry (entryUUID, objectGUID). A renamed entry is the same person; an entry that was deleted and created
// anew under the same login is another one.
//
// # Passwords
//
// Nothing is sent over a connection that is not encrypted, except through a Unix socket. Authenticate refuses an empty
// password before it asks the directory, because LDAP takes a bind with a name and an empty password for an anonymous
// one and lets it succeed (RFC 4513 §5.1.2).
//
// # When the directory is away
//
// New does not connect. Each operation has a deadline and fails with ErrUnavailable when no server answers in time; the
// next one tries again. A connection that turns out to be dead is replaced within the operation, so that a server's
// restart is not seen.
package directory
