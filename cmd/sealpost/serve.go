package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
)

// defaultConfig is where the configuration lies unless told otherwise.
const defaultConfig = "/etc/sealpost/server.yaml"

// configFlag adds --config to a command and returns where its value will be.
func configFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", defaultConfig, "configuration file")
}

// load reads a configuration and returns all its faults.
func load(path string) (*config.Config, error) {
	c, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%s:\n%w", path, err)
	}
	return c, nil
}

// withBase runs fn with the rooms that stand on their own.
func withBase(ctx context.Context, path string, fn func(*server.Base) error) error {
	c, err := load(path)
	if err != nil {
		return err
	}
	b, err := server.OpenBase(ctx, c, server.Logger(c), server.Hooks{})
	if err != nil {
		return err
	}
	defer b.Close()
	return fn(b)
}

// withServer runs fn with all rooms, which do not serve.
func withServer(ctx context.Context, path string, fn func(*server.Server) error) error {
	c, err := load(path)
	if err != nil {
		return err
	}
	s, err := server.Open(ctx, c, server.Logger(c), server.Hooks{})
	if err != nil {
		return err
	}
	defer s.Close()
	return fn(s)
}

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server until it is interrupted",
		Long: `Runs the server: the REST interface (HTTPS), what certificates name (HTTP: revocation lists, CA certificates, OCSP),
and the work behind them. Any number of servers may share one database.

It stops on SIGINT and SIGTERM, after finishing the requests it has.`,
		Args: cobra.NoArgs,
	}
	path := configFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := harden(); err != nil {
			return err
		}
		conf, err := load(*path)
		if err != nil {
			return err
		}
		return serve(cmd.Context(), conf, server.Hooks{}, nil)
	}
	return c
}

// serve runs a server; ready, if not nil, is called when it listens.
func serve(ctx context.Context, c *config.Config, hooks server.Hooks, ready func(*server.Server)) error {
	defer server.Headroom()()
	log := server.Logger(c)
	s, err := server.Open(ctx, c, log, hooks)
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := s.Listen()
	if err != nil {
		return err
	}
	log.Info("serving", "api", l.API.Addr().String(), "public", l.Public.Addr().String(), "version", server.Version())
	if ready != nil {
		ready(s)
	}
	return s.Run(ctx, l)
}

func migrateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database to the schema that this version needs",
		Long: `Creates or updates tables and roles, forward only. It logs in with database.admin_url, a role that may create roles
and schemas. The server's own login role (sealpost_server) is created without a password: give it one, or let it in by a
Unix socket.`,
		Args: cobra.NoArgs,
	}
	path := configFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		conf, err := load(*path)
		if err != nil {
			return err
		}
		url, err := conf.AdminURL()
		if err != nil {
			return err
		}
		m := pg.MigrateConfig{URL: url, RolePrefix: conf.Database.RolePrefix, Log: server.Logger(conf)}
		if err := pg.Migrate(cmd.Context(), m); err != nil {
			return err
		}
		if err := jobs.Migrate(cmd.Context(), m); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "The database is up to date.")
		return nil
	}
	return c
}

func checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Report everything that is wrong with the configuration",
		Long: `Reads the configuration file and reports all its faults at once, each with its path. With --connect it then opens
everything that the file names: key files, database, directory, roster, mail server (which is sent no message), test mailbox (of which nothing is read).`,
		Args: cobra.NoArgs,
	}
	path := configFlag(c)
	connect := c.Flags().Bool("connect", false, "also open keys, database, directory, roster and mail server")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		conf, err := load(*path)
		if err != nil {
			return err
		}
		if err := checkProfiles(conf); err != nil {
			return fmt.Errorf("%s:\n%w", *path, err)
		}
		if *connect {
			if err := tryAll(cmd, conf); err != nil {
				return err
			}
		}
		fmt.Fprintln(cmd.OutOrStdout(), "No fault was found.")
		return nil
	}
	return c
}

// checkProfiles checks what the authority would, without its keys, and the keytab.
func checkProfiles(c *config.Config) error {
	a := ca.Config{Arc: c.PolicyArc, Organisation: c.Organisation, Names: c.Names, Profiles: c.AllProfiles()}
	var errs []error
	for n, i := range c.Issuers {
		chain, err := server.ReadCertificates(c.Path(i.Certificate))
		if err != nil {
			errs = append(errs, fmt.Errorf("issuers[%d].certificate: %w", n, err))
			continue
		}
		a.Issuers = append(a.Issuers, ca.IssuerConfig{ID: i.ID, CRL: c.CRLURLs(i), Partitions: i.Partitions, PartitionCRL: c.PartitionURL(i),
			OCSP: c.OCSPURL(i.ID), CAIssuers: c.CAURL(i.ID), Chain: chain})
	}
	if len(errs) == 0 {
		errs = append(errs, a.Check())
	}
	if _, err := server.Keytab(c); err != nil {
		errs = append(errs, fmt.Errorf("kerberos.%w", err))
	}
	return errors.Join(errs...)
}

// tryAll opens what the server would at its start, and what it would ask for later. What is no fault but should not stay so
// it says on standard error.
func tryAll(cmd *cobra.Command, c *config.Config) error {
	ctx := cmd.Context()
	s, err := server.Open(ctx, c, server.Logger(c), server.Hooks{})
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Archive != nil {
		d, err := s.Archive.Drills(ctx)
		if err != nil {
			return err
		}
		if d.Overdue {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", server.DrillWarning(d))
		}
	}
	faults := []error{s.Directory.Check(ctx), s.CheckMail(ctx), s.CheckTestMail(ctx)}
	if s.Contacts.On() {
		if err := s.Contacts.Directory.Check(ctx); err != nil {
			faults = append(faults, fmt.Errorf("gal.contacts: %w", err))
		}
	}
	for i, t := range s.GAL.Targets()[1:] {
		if err := t.Directory.Check(ctx); err != nil {
			faults = append(faults, fmt.Errorf("gal.targets[%d]: %w", i, err))
		}
	}
	return errors.Join(faults...)
}
