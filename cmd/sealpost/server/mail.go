package server

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/notice"
)

// openMail makes the way to the mail server, if the configuration names one. It does not connect.
func (s *Server) openMail() (err error) {
	if s.Config.Mail.Host == "" {
		return nil
	}
	c := s.Config.MailServer()
	c.Now = s.now
	if f := s.Config.Mail.PasswordFile; f != "" {
		if c.Password, err = s.Config.Secret(f); err != nil {
			return fmt.Errorf("password_file: %w", err)
		}
	}
	if f := s.Config.Mail.TrustFile; f != "" {
		certificates, err := ReadCertificates(s.Config.Path(f))
		if err != nil {
			return fmt.Errorf("trust_file: %w", err)
		}
		c.Trust = x509.NewCertPool()
		for _, cert := range certificates {
			c.Trust.AddCert(cert)
		}
	}
	s.Mail, err = mail.New(c)
	return err
}

// openNotice opens the room that tells people of recovery cases, which has nothing to do where there is no mail server or
// no archive.
func (s *Server) openNotice() error {
	if err := s.openMail(); err != nil {
		return err
	}
	c := notice.Config{DB: s.DB, Jobs: s.Jobs, Directory: s.Directory, Mail: s.Mail, Organisation: s.Config.Organisation.Name, Contact: s.Config.Mail.Contact, Operators: s.Config.Mail.Operators,
		Now: s.now, Log: s.Log}
	if s.Recovery != nil {
		c.Cases = s.Recovery.Cases
	}
	var err error
	s.Notice, err = notice.New(c)
	return err
}

// CheckMail connects to the mail server, if there is one, and logs in. It sends nothing.
func (s *Server) CheckMail(ctx context.Context) error {
	if s.Mail == nil {
		return nil
	}
	if err := s.Mail.Check(ctx); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	return nil
}
