package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cms/bundle"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/enroll/leaver"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/gal/contact"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/notice"
	"github.com/sealpost/sealpost/ocsp"
	"github.com/sealpost/sealpost/recovery"
	"github.com/sealpost/sealpost/testmail"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/allowance"
)

// exchangeLabel is what the exchange's private keys are sealed as.
const exchangeLabel = "archive exchange key"

// Times of periodic work.
const (
	resumeEvery   = time.Minute
	renewEvery    = time.Hour
	rewrapEvery   = time.Hour
	jobTimeout    = time.Minute
	rewrapTimeout = 2 * time.Minute // a little at a time: the next run goes on
	stopTimeout   = 20 * time.Second
)

// Server is all rooms.
type Server struct {
	*Base
	Archive  *archive.Archive // nil where no profile archives keys
	Enroll   *enroll.Registry
	Leavers  *leaver.Desk
	Fleet    *fleet.Fleet
	CRL      *crl.Publisher
	GAL      *gal.Publisher
	Contacts *contact.Desk
	Recovery *recovery.Desk // nil where there is no Archive
	Notice   *notice.Teller
	Mail     *mail.Sender   // nil where people are told nothing by mail
	TestMail *testmail.Desk // nil where there are no test mails
	OCSP     *ocsp.Responder
	Web      *web.Server

	drills  drillWatch
	started time.Time
}

// Open opens every room and checks what can be checked before the first request: the roster against its pin, every
// issuer's key, the exchange certificate.
func Open(ctx context.Context, c *config.Config, log *slog.Logger, hooks Hooks) (_ *Server, err error) {
	base, err := OpenBase(ctx, c, log, hooks)
	if err != nil {
		return nil, err
	}
	s := &Server{Base: base, started: base.now()}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.Archive, err = s.OpenArchive(ctx); err != nil {
		return nil, err
	}
	if s.Archive != nil {
		if err := s.checkArchive(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.openEnroll(ctx, hooks); err != nil {
		return nil, err
	}
	if err := s.openPublishers(ctx); err != nil {
		return nil, err
	}
	if err := s.openRecovery(hooks); err != nil {
		return nil, err
	}
	if err := s.openNotice(); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	if err := s.openTestMail(ctx); err != nil {
		return nil, fmt.Errorf("test_mail: %w", err)
	}
	return s, s.openWeb(ctx)
}

func (s *Server) openRecovery(hooks Hooks) (err error) {
	if s.Archive == nil {
		return nil
	}
	r := s.Config.Recovery
	s.Recovery, err = recovery.New(recovery.Config{Archive: s.Archive, Authority: s.Authority, Directory: s.Directory, Jobs: s.Jobs, Audit: s.Audit,
		Longest: time.Duration(r.Longest), Silence: time.Duration(r.Silence), After: hooks.AfterStep, Now: s.now, Log: s.Log})
	return err
}

func (s *Server) openEnroll(ctx context.Context, hooks Hooks) (err error) {
	e := s.Config.Enrolment
	var trusted enroll.AttestationRoots
	if trusted.TPM, err = s.trusted(e.Attestation.TPMRoots); err != nil {
		return fmt.Errorf("enrolment.attestation.tpm_roots: %w", err)
	}
	if trusted.YubiKey, err = s.trusted(e.Attestation.YubiKeyRoots); err != nil {
		return fmt.Errorf("enrolment.attestation.yubikey_roots: %w", err)
	}
	s.Enroll, err = enroll.New(enroll.Config{DB: s.DB, Authority: s.Authority, Archive: s.Archive, Directory: s.Directory, Jobs: s.Jobs, Audit: s.Audit,
		Plans: e.Plans, Attestation: trusted, Issuer: e.Issuer, Renewal: enroll.Renewal{From: e.Renewal.From, Until: e.Renewal.Until},
		Old:   enroll.Old{KeepSigning: e.Old.KeepSigningKeys, RevokeAfter: time.Duration(e.Old.RevokeAfterDays) * 24 * time.Hour},
		After: hooks.AfterStep, Now: s.now, Log: s.Log,
		SealKey:   func(b []byte) ([]byte, error) { return keys.SealSecret(b, exchangeLabel, s.Unlock) },
		UnsealKey: func(b []byte) ([]byte, error) { return keys.UnsealSecret(b, exchangeLabel, s.Unlock) },
	})
	if err != nil {
		return err
	}
	s.Leavers, err = leaver.New(leaver.Config{DB: s.DB, Authority: s.Authority, Directory: s.Directory, Audit: s.Audit, Policy: s.Config.Leavers,
		After: hooks.AfterStep, Now: s.now, Log: s.Log})
	if err != nil {
		return err
	}
	if s.Fleet, err = fleet.New(fleet.Config{DB: s.DB, Audit: s.Audit, Policy: s.Config.Fleet, Left: s.Leavers.Left, Now: s.now, Log: s.Log}); err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	return s.Enroll.EnsureKeys(ctx)
}

func (s *Server) openPublishers(ctx context.Context) (err error) {
	if s.CRL, err = s.NewCRL(); err != nil {
		return err
	}
	for _, i := range s.Authority.Issuers() { // no certificate names a list that is not there
		if i.CanSign() {
			if _, err := s.CRL.Build(ctx, i.ID(), 0); err != nil {
				return fmt.Errorf("revocation list of %s: %w", i.ID(), err)
			}
		}
	}
	if err := s.openGAL(ctx); err != nil {
		return fmt.Errorf("gal: %w", err)
	}
	if err := s.openContacts(ctx); err != nil {
		return fmt.Errorf("gal.contacts: %w", err)
	}
	return s.openOCSP(ctx)
}

func (s *Server) openWeb(ctx context.Context) error {
	certificate, err := s.certificate(ctx)
	if err != nil {
		return err
	}
	f := s.Config.Finding
	c := web.Config{Registry: s.Enroll, Authority: s.Authority, Archive: s.Archive, Recovery: s.Recovery, Leavers: s.Leavers, Fleet: s.Fleet, Board: archive.NewBoard(archive.BoardConfig{DB: s.DB, Now: s.now, Log: s.Log}), Directory: s.Directory, Audit: s.Audit,
		GAL: s.GAL, Contacts: s.Contacts, Finding: web.Finding{Store: f.Store, VCard: f.VCard, Lookups: allowance.Allowance{Burst: f.Burst, Every: time.Duration(f.Every)}},
		CRL: s.CRL, OCSP: s.OCSP, Parts: s.parts(), Gauges: slices.Concat(s.drillGauges(), s.ocspGauges(), s.directoryGauges(), s.fleetGauges()), Tables: slices.Concat(s.listTables(), s.galTables(), s.contactTables(), s.fleetTables()), Version: Version(), Certificate: certificate, Now: s.now, Log: s.Log}
	c.Kerberos, c.Dialect = s.Config.Kerberos, s.Config.Directory.Dialect
	c.Device, c.Limits = s.Config.DeviceLogin, s.Config.Limits
	if c.Keytab, err = Keytab(s.Config); err != nil {
		return fmt.Errorf("kerberos.%w", err)
	}
	if err := s.portal(&c); err != nil {
		return err
	}
	for _, p := range s.Config.Publications {
		file := s.Config.Path(p.File)
		c.Publications = append(c.Publications, web.Publication{Path: p.Path, MediaType: p.Type, Read: func() ([]byte, error) { return os.ReadFile(file) }})
	}
	bundles, err := s.bundles()
	if err != nil {
		return err
	}
	c.Publications = append(c.Publications, bundles...)
	s.Web, err = web.New(c)
	return err
}

// bundles are each issuer's certificates up to the root in one file, for programs that take no more than one.
func (s *Server) bundles() ([]web.Publication, error) {
	var out []web.Publication
	for _, i := range s.Authority.Issuers() {
		der, err := bundle.Write(i.Chain())
		if err != nil {
			return nil, err
		}
		out = append(out, web.Publication{Path: "/ca/" + i.ID() + ".p7c", MediaType: "application/pkcs7-mime; smime-type=certs-only",
			Read: func() ([]byte, error) { return der, nil }})
	}
	return out, nil
}

// parts are what the server's health consists of.
func (s *Server) parts() []web.Part {
	parts := []web.Part{
		{Name: "database", Check: s.DB.Ping},
		{Name: "directory", Check: s.Directory.Ping},
		{Name: "crl", Check: s.CRL.Check},
	}
	parts = append(parts, web.Part{Name: "ocsp", Check: s.OCSP.Check}, web.Part{Name: "audit", Check: s.checkAudit})
	if s.Archive != nil {
		parts = append(parts, web.Part{Name: "archive", Check: s.checkArchive})
	}
	return parts
}

// checkArchive reports a roster that is not the pinned one, and records whose wrapping key is not there.
func (s *Server) checkArchive(ctx context.Context) error {
	return errors.Join(s.Archive.CheckRoster(ctx), s.Archive.CheckWrapping(ctx))
}

// auditPatience is how long the sequencer, and each place outside, may fall behind before health says so.
const auditPatience = time.Minute

// checkAudit reports a sequencer or a place for checkpoints that has fallen behind.
func (s *Server) checkAudit(ctx context.Context) error {
	st, err := s.Audit.Status(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	var errs []error
	if st.Pending > 0 && now.Sub(st.Oldest) > auditPatience {
		errs = append(errs, errors.Join(fmt.Errorf("%d events wait for their place in the log", st.Pending), st.Err))
	}
	for _, k := range st.Sinks {
		if k.Err != nil && now.Sub(k.KeptAt) > auditPatience {
			errs = append(errs, fmt.Errorf("checkpoints are not kept at %s: %w", k.Sink, k.Err))
		}
	}
	return errors.Join(errs...)
}

// Listen opens the configured listeners.
func (s *Server) Listen() (l web.Listeners, err error) {
	for _, p := range []struct {
		to      *net.Listener
		address string
	}{{&l.Portal, s.Config.Listen.Portal}, {&l.API, s.Config.Listen.API}, {&l.Public, s.Config.Listen.Public}, {&l.Metrics, s.Config.Listen.Metrics}} {
		if p.address == "" {
			continue
		}
		if *p.to, err = net.Listen("tcp", p.address); err != nil {
			return l, err
		}
	}
	return l, nil
}

// Run serves, works on jobs and sequences the audit log, until the context ends.
func (s *Server) Run(ctx context.Context, l web.Listeners) error {
	s.register()
	if err := s.Jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { s.Audit.Run(ctx); return nil })
	g.Go(func() error { s.OCSP.Run(ctx); return nil })
	g.Go(func() error { s.Fleet.Run(ctx); return nil })
	g.Go(func() error { return s.Web.Run(ctx, l) })
	err := g.Wait()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(err, s.Jobs.Stop(stop))
}

func (s *Server) register() {
	s.CRL.Register(s.Jobs)
	s.GAL.Register(s.Jobs)
	s.Contacts.Register(s.Jobs)
	s.Leavers.Register(s.Jobs)
	s.Fleet.Register(s.Jobs)
	if s.Recovery != nil {
		s.Recovery.Register(s.Jobs)
	}
	if s.TestMail != nil {
		s.TestMail.Register(s.Jobs)
	} else { // what was begun while there were test mails ends
		jobs.Handle(s.Jobs, jobTimeout, func(context.Context, jobs.SendTestMail) error { return nil })
		jobs.Handle(s.Jobs, jobTimeout, func(context.Context, jobs.ReadTestMail) error { return nil })
	}
	s.Notice.Register(s.Jobs) // without a mail server too: jobs of cases must not wait for one
	jobs.Handle(s.Jobs, jobTimeout, func(ctx context.Context, _ jobs.ResumeEnrolments) error {
		_, err := s.Authority.AbandonStale(ctx)
		return errors.Join(err, s.Enroll.Resume(ctx))
	})
	jobs.Handle(s.Jobs, jobTimeout, func(ctx context.Context, _ jobs.RenewServiceCertificates) error {
		err := s.Enroll.EnsureKeys(ctx)
		if s.TestMail != nil {
			err = errors.Join(err, s.TestMail.EnsureCertificates(ctx))
		}
		return err
	})
	if s.Archive != nil {
		jobs.Handle(s.Jobs, rewrapTimeout, func(ctx context.Context, _ jobs.RewrapRecords) error {
			moved, err := s.Archive.Rewrap(ctx)
			if moved > 0 {
				s.Log.Info("records moved to the newest wrapping key", "records", moved)
			}
			if errors.Is(err, context.DeadlineExceeded) { // the next run goes on
				return nil
			}
			return err
		})
		s.Jobs.Every(rewrapEvery, jobs.RewrapRecords{})
		jobs.Handle(s.Jobs, jobTimeout, s.watchDrills)
		s.Jobs.Every(watchEvery, jobs.WatchDrills{})
	}
	jobs.Handle(s.Jobs, jobTimeout, s.watchLists)
	s.Jobs.Every(watchListsEvery, jobs.WatchLists{})
	s.Jobs.Every(resumeEvery, jobs.ResumeEnrolments{})
	s.Jobs.Every(renewEvery, jobs.RenewServiceCertificates{})
}

// Version returns the program's version, as the Go toolchain knows it.
func Version() string {
	if i, ok := debug.ReadBuildInfo(); ok && i.Main.Version != "" {
		return i.Main.Version
	}
	return "(devel)"
}
