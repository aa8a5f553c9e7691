package demo

import "context"

// tourSteps is the tour, in order. The names are stable: tour.json is read by programs.
func (d *Demo) tourSteps() []tourStep {
	return []tourStep{
		{"database-started", "Start a private PostgreSQL", d.startDatabase},
		{"directory-started", "Start a private OpenLDAP with a small company", d.startDirectory},
		{"ftp-started", "Start a private FTP server (vsftpd)", d.startFTP},
		{"authority-created", "Make root and issuing authority", d.createAuthority},
		{"database-migrated", "Make the tables, with one role per room", d.migrate},
		{"officers-certified", "Give three recovery officers their certificates", d.certifyOfficers},
		{"ceremony-held", "The officers make the archive's key together (2 of 3)", d.holdCeremony},
		{"server-started", "Start the server", d.serve},
		{"alice-enrolled", "Alice enrols over REST", d.enrolStep("alice")},
		{"bob-enrolled", "Bob enrols over REST", d.enrolStep("bob")},
		{"portal-signed-in", "Alice signs in at the portal and sees both certificates", d.portal},
		{"keys-archived", "The archive keeps the encryption keys, and says so", d.receipts},
		{"certificates-in-directory", "The directory shows the encryption certificates", d.published},
		{"crl-published", "The CRL is the same by HTTP, LDAP, as a file and by FTP", d.crlPublished},
		{"mail-signed-clear", "Alice signs a mail to Bob, readable by every program", d.signClear},
		{"mail-signed-opaque", "Alice signs a mail, opaque", d.signOpaque},
		{"mail-encrypted", "Alice encrypts it to Bob, who reads it", d.encrypt},
		{"gpgsm-reads-mail", "GnuPG reads it too", d.gpgsmReads},
		{"signing-key-refused", "A signing key offered for archiving is refused", d.signingKeyRefused},
		{"certificate-revoked", "Carol loses her computer: her certificate is refused", d.revoked},
		{"points-read-back", "Every distribution point shows it, and Sealpost looked", d.readBack},
		{"delta-suffices", "With an old CRL, the small delta is enough to refuse her", d.deltaSuffices},
		{"ocsp-agrees", "OCSP says the same", d.ocsp},
		{"laptop-lost", "Alice loses her laptop; a new one cannot read old mail", d.laptopLost},
		{"one-officer-refused", "She asks for her old keys; one officer alone opens nothing", d.oneOfficerRefused},
		{"own-approval-refused", "Nobody approves what they ask for themselves", d.ownApprovalRefused},
		{"keys-restored", "A second officer agrees: her old mail is readable again", d.keysRestored},
		{"workstation-enrolled", "Rita's computer enrols her by itself", d.workstationEnrolled},
		{"second-workstation-waits", "So does her second, and asks for the older key", d.secondWorkstationWaits},
		{"second-workstation-restored", "Two officers agree: it reads what the first one read", d.secondWorkstationRestored},
		{"workstation-renewed", "In a copy, 22 months later: the first renews by itself", d.workstationRenewed},
		{"directory-drifted", "Others write into both entries; the difference is found", d.drifted},
		{"directory-repaired", "It is put right, and nothing of another authority is lost", d.repaired},
		{"audit-verified", "The audit log is whole", d.auditWhole},
		{"tampering-caught", "A row altered in a copy of the log is found", d.auditTampered},
	}
}

type tourStep struct {
	name, title string
	do          func(context.Context) (string, error)
}
