package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/ftptest"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/kra"
	"github.com/sealpost/sealpost/web"
)

// Config says how the demo runs.
type Config struct {
	Dir     string // everything lies here; new, empty, or a former demo's
	Once    bool   // end after the tour
	Program string // this program's path, to be run as operators do
	Out     io.Writer
}

// Demo is a running demo.
type Demo struct {
	Config
	*tour
	dir      string
	sockets  string // a folder with a short path, for Unix sockets and what programs hand to one another
	cluster  *pgtest.Cluster
	slapd    *slapdtest.Server
	ftp      *ftptest.Server // nil in an installation that is measured
	config   *config.Config
	server   *running
	officers []*kra.Officer
	cards    []*kra.AgentCard
	template setup.Template // of server.yaml, which gets the roster's pin after the ceremony
	closers  []func()       // in reverse order

	carol carol // what is known of the revocation
	lost  lost  // what is known of the recovery
	desks desks // two computers that look after themselves

	people    string         // more people, as LDIF
	limits    string         // for slapd.conf
	algorithm keys.Algorithm // of the authorities' keys; empty for what init takes
}

// Run takes the tour and, unless told to end then, serves until ctx ends. The error says which step failed.
func Run(ctx context.Context, c Config) (err error) {
	d := &Demo{Config: c}
	defer d.close()
	if d.dir, err = takeFolder(c.Dir); err != nil {
		return err
	}
	d.tour = &tour{dir: d.dir, out: c.Out}
	if d.sockets, err = makeScratch(d.dir); err != nil {
		return err
	}
	d.closers = append(d.closers, func() { _ = os.RemoveAll(d.sockets) })
	fmt.Fprintf(c.Out, "Sealpost demo in %s\n\n", d.dir)
	for _, s := range d.tourSteps() {
		err := d.step(ctx, s.name, s.title, s.do)
		if err != nil && ctx.Err() != nil { // whatever the step made of it
			return fmt.Errorf("%s was cut short: %w", s.name, context.Cause(ctx))
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(c.Out, "\nAll %d steps passed. The list: %s\n", len(d.steps), d.path("tour.json"))
	if c.Once {
		return nil
	}
	d.tell()
	select {
	case <-ctx.Done():
		fmt.Fprintln(c.Out, "\nStopping.")
		return nil
	case err := <-d.server.ended:
		return fmt.Errorf("the server ended by itself: %w", err)
	}
}

// close stops everything, the last started first.
func (d *Demo) close() {
	for i := len(d.closers) - 1; i >= 0; i-- {
		d.closers[i]()
	}
}

// tell says where things are and how to log in.
func (d *Demo) tell() {
	l, lists := d.config.Listen, d.places(crl.Kind{})
	fmt.Fprintf(d.Out, `
Serving until interrupted (Ctrl-C):
  portal        %s  (your browser does not know its certificate; go on, or trust %s)
  REST          https://localhost:%s/api/v1/  (trust %s; description at /api/v1/openapi.json)
  CRL           %s
                %s
                %s
                %s
  delta         %s
  CA, OCSP      %s  %s
                %s
  directory     %s  (ldapsearch; trust %s)
  database      psql %q
  logins        %s … each with the password LOGIN-sample
  try           curl --cacert %s -u alice:alice-sample https://localhost:%s/api/v1/policy
`, d.config.Portal.URL, d.path("pki", "root.pem"), port(l.API), d.path("pki", "root.pem"), lists[0].address, lists[1].address, lists[2].address, lists[3].address, d.places(crl.Kind{Delta: true})[0].address,
		d.config.CAURL(setup.IssuerID), d.config.BundleURL(setup.IssuerID), d.config.OCSPURL(setup.IssuerID), d.slapd.TLSURL(), d.slapd.TrustFile, d.cluster.URL(database),
		"alice, bob, carol, dave, rita (registrar), olivia, oscar, otto (recovery officers), operator, auditor",
		d.path("pki", "root.pem"), port(l.API))
}

// running is the server in this process.
type running struct {
	*server.Server
	stop  context.CancelFunc
	ended chan error
}

// startServer opens and runs the server that server.yaml describes, as `sealpost serve` does.
func (d *Demo) startServer(ctx context.Context) error {
	c, err := config.Load(filepath.Join(d.dir, "server.yaml"))
	if err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return err
	}
	log, err := d.logger("server.log")
	if err != nil {
		return err
	}
	s, err := server.Open(ctx, c, log, server.Hooks{})
	if err != nil {
		return err
	}
	l, err := listen(s)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.config, d.server = c, &running{Server: s, stop: stop, ended: make(chan error, 1)}
	go func() { d.server.ended <- s.Run(ctx, l) }()
	d.closers = append(d.closers, func() {
		stop()
		<-d.server.ended
		s.Close()
	})
	return nil
}

// listen opens a server's listeners, or closes the server.
func listen(s *server.Server) (web.Listeners, error) {
	l, err := s.Listen()
	if err != nil {
		s.Close()
		return l, errors.Join(err, closeAll(l))
	}
	return l, nil
}

func closeAll(l web.Listeners) error {
	var errs []error
	for _, c := range []io.Closer{l.Portal, l.API, l.Public, l.Metrics} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
