package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/portal"
	"github.com/sealpost/sealpost/web/session"
	"github.com/sealpost/sealpost/web/signin"
)

// standing is what operators and auditors are told in the portal that only this package knows.
func (s *Server) standing() portal.Standing {
	return portal.Standing{
		Made:  s.CRL.Made,
		OCSP:  s.OCSP.Stats,
		Told:  s.Notice.Told,
		Mails: s.Mail != nil,
		Queues: func(ctx context.Context) ([]jobs.Backlog, error) {
			return s.Jobs.Backlogs(ctx, s.now())
		},
		Backup: func(ctx context.Context) (out portal.Backup, err error) {
			out.Archived, out.Failed, err = s.DB.Archived(ctx)
			return out, err
		},
	}
}

// portal adds what people's browsers need, if there is a portal.
func (s *Server) portal(c *web.Config) (err error) {
	if s.Config.Listen.Portal == "" {
		return nil
	}
	conf := s.Config.Portal
	if c.Sessions, err = session.New(session.Config{DB: s.DB, Policy: conf.Sessions, Now: s.now}); err != nil {
		return err
	}
	c.Organisation, c.Mail = s.Config.Organisation.Name, conf.Mail
	c.Requests = conf.Requests
	c.OfficersApprove = conf.OfficersApprove
	c.PortalURL, c.Certificates = strings.TrimSuffix(conf.URL, "/"), strings.TrimSuffix(conf.Certificates, "/")
	c.TestMail, c.Standing = s.TestMail, s.standing()
	if !conf.OpenID.Configured() {
		return nil
	}
	secret, err := s.Config.Secret(conf.OpenID.ClientSecretFile)
	if err != nil {
		return fmt.Errorf("portal.openid.client_secret_file: %w", err)
	}
	c.OpenID, err = signin.NewOpenID(signin.OpenIDConfig{Policy: conf.OpenID, Secret: secret, Redirect: strings.TrimSuffix(conf.URL, "/") + portal.CallbackPath,
		Directory: s.Directory, Now: s.now, Log: s.Log})
	return err
}
