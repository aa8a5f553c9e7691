package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/testmail"
)

// testMailLabel is what the test mailbox's private keys are sealed as.
const testMailLabel = "test mailbox key"

// openTestMail opens the room of test mails, if the configuration has a mailbox for them, and gives the mailbox its
// certificates. It does not connect.
func (s *Server) openTestMail(ctx context.Context) (err error) {
	conf := s.Config.TestMail
	if !conf.Configured() {
		return nil
	}
	box := conf.Mailbox()
	if box.Password, err = s.Config.Secret(conf.IMAP.PasswordFile); err != nil {
		return fmt.Errorf("imap.password_file: %w", err)
	}
	if f := conf.IMAP.TrustFile; f != "" {
		certificates, err := ReadCertificates(s.Config.Path(f))
		if err != nil {
			return fmt.Errorf("imap.trust_file: %w", err)
		}
		box.Trust = x509.NewCertPool()
		for _, cert := range certificates {
			box.Trust.AddCert(cert)
		}
	}
	s.TestMail, err = testmail.New(testmail.Config{DB: s.DB, Jobs: s.Jobs, Authority: s.Authority, Directory: s.Directory, Mail: s.Mail,
		Mailbox: box, Address: conf.Address, Wait: time.Duration(conf.Wait),
		SealKey:   func(b []byte) ([]byte, error) { return keys.SealSecret(b, testMailLabel, s.Unlock) },
		UnsealKey: func(b []byte) ([]byte, error) { return keys.UnsealSecret(b, testMailLabel, s.Unlock) },
		Now:       s.now, Log: s.Log})
	if err != nil {
		return err
	}
	return s.TestMail.EnsureCertificates(ctx)
}

// CheckTestMail opens the mailbox of test mails, if there is one. It reads no mail.
func (s *Server) CheckTestMail(ctx context.Context) error {
	if s.TestMail == nil {
		return nil
	}
	if err := s.TestMail.Check(ctx); err != nil {
		return fmt.Errorf("test_mail: %w", err)
	}
	return nil
}
