package directory

import (
	"context"
	"errors"

	"github.com/go-ldap/ldap/v3"

	"github.com/sealpost/sealpost/internal/fault"
)

// Faults that callers test for.
var (
	ErrUnknownPerson = fault.New(fault.NotFound, "unknown-person", "The directory has no such person.")
	ErrSeveral       = fault.New(fault.Conflict, "several-persons",
		"The directory has several entries for this. An administrator of the directory must leave one.")
	ErrSearch = fault.New(fault.Malformed, "directory-search",
		"Give at least two characters of a name, a login or an address, and at most five words.")
	ErrCredentials = fault.New(fault.Denied, "wrong-credentials", "The login or the password is wrong.")
	ErrDisabled    = fault.New(fault.Denied, "person-disabled", "This account is disabled in the directory.")
	ErrUnavailable = fault.New(fault.Unavailable, "directory-unavailable",
		"The directory does not answer. Try again later.")
	// ErrRefused is the operator's to mend: rights, an account's password, a name in the configuration.
	ErrRefused = fault.New(fault.Unavailable, "directory-refuses",
		"The directory does not let Sealpost do this. An operator must check the rights of Sealpost's accounts there.")
	ErrReadOnly = fault.New(fault.Unavailable, "directory-read-only",
		"No publishing account is configured, so nothing can be written to the directory.")
	ErrAttribute = fault.New(fault.Malformed, "directory-attribute", "This attribute is not one that holds certificates.")
	ErrValue     = fault.New(fault.Malformed, "directory-value", "The directory does not accept this value.")

	ErrUnknownEntry = fault.New(fault.NotFound, "unknown-authority-entry", "The directory has no entry of this name.")
	ErrEntryName    = fault.New(fault.Malformed, "authority-entry-name", "This name cannot be the entry of a certificate authority.")
	ErrNewerCRL     = fault.New(fault.Conflict, "newer-crl-published", "The directory holds a newer revocation list of this issuer.")
	ErrForeignCRL   = fault.New(fault.Conflict, "foreign-crl", "The entry holds a revocation list of another issuer, or several.")
)

// found turns what an operation on the directory returned into a fault. Faults pass unchanged, and so does the end of
// the caller's patience.
func found(err error) error {
	if err == nil || fault.Of(err) != nil || errors.Is(err, context.Canceled) {
		return err
	}
	switch code(err) {
	case ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultStrongAuthRequired,
		ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultAuthMethodNotSupported,
		ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultNoSuchObject:
		return ErrRefused.Because(err)
	case ldap.LDAPResultReferral:
		return ErrRefused.Withf("The directory server refers to another server, which Sealpost does not follow. " +
			"An operator must put a server into urls that holds the entry and may write it.").Because(err)
	case ldap.LDAPResultUndefinedAttributeType, ldap.LDAPResultInappropriateMatching, ldap.LDAPResultConstraintViolation, ldap.LDAPResultInvalidAttributeSyntax,
		ldap.LDAPResultObjectClassViolation, ldap.LDAPResultNamingViolation, ldap.LDAPResultInvalidDNSyntax,
		ldap.LDAPResultNotAllowedOnRDN, ldap.LDAPResultObjectClassModsProhibited:
		return ErrValue.Withf("The directory does not accept this value: %s.", ldap.LDAPResultCodeMap[code(err)]).Because(err)
	case ldap.LDAPResultSizeLimitExceeded:
		return ErrSeveral.Because(err)
	default:
		return ErrUnavailable.Because(err)
	}
}

// noCode is what code returns for errors without one; LDAP has no such code.
const noCode = 0xffff

// code returns the LDAP result code of an error, or noCode.
func code(err error) uint16 {
	var e *ldap.Error
	if errors.As(err, &e) {
		return e.ResultCode
	}
	return noCode
}

// broken reports whether, after err, a connection is of no more use: it is lost, or the server wants to be left alone.
func broken(err error) bool {
	if err == nil || fault.Of(err) != nil {
		return false
	}
	switch c := code(err); c {
	case ldap.LDAPResultBusy, ldap.LDAPResultUnavailable:
		return true
	case ldap.ErrorFilterCompile:
		return false
	default:
		return c >= ldap.ErrorNetwork // the client's own codes, and errors without one
	}
}
