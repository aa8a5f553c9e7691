package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/cmd/sealpost/bench"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/internal/child"
)

func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure enrolments per second on this machine, next to what stock parts reach",
		Long: `Starts a private PostgreSQL (durable commits), a private OpenLDAP with a large company, this server and a floor: the
simplest server that checks a certificate request, signs a certificate and commits one row. Then it measures all of them
in turns, over HTTPS on loopback: enrolments of a dual pair per second, latencies, CPU time of each part, the sum of the
unavoidable cryptography, start-up time, memory, and the rate with many pairs stored. docs/performance.md explains the
figures and has those of a real run.

Only ratios within one run mean something: --clients, --rounds and --seconds are the same for both sides.`,
		Args: cobra.NoArgs,
	}
	conf, asJSON := benchFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		self, err := exec.LookPath(os.Args[0])
		if err != nil {
			return err
		}
		conf.Program, conf.Out = []string{self}, cmd.ErrOrStderr()
		if conf.Profile != "" {
			if conf.Profile, err = filepath.Abs(conf.Profile); err != nil {
				return err
			}
		}
		if conf.Dir == "" {
			if conf.Dir, err = child.TempDir("sealpost-bench-"); err != nil {
				return err
			}
			defer os.RemoveAll(conf.Dir)
			if err := os.Chmod(conf.Dir, 0o755); err != nil { // the servers run as another user when root starts them
				return err
			}
		}
		report, err := bench.Run(cmd.Context(), *conf)
		if err != nil {
			return err
		}
		if *asJSON {
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(report)
		}
		return report.Print(cmd.OutOrStdout())
	}
	c.AddCommand(benchFloorCommand(), benchServeCommand())
	return c
}

func benchFlags(c *cobra.Command) (*bench.Config, *bool) {
	conf := &bench.Config{}
	f := c.Flags()
	f.StringVar(&conf.Dir, "dir", "", "folder for everything, which stays (default: a temporary one, which goes)")
	f.IntVar(&conf.Rounds, "rounds", 5, "how often everything is measured, in turns")
	f.Float64Var(&conf.Seconds, "seconds", 2, "how long each measurement lasts")
	f.IntSliceVar(&conf.Clients, "clients", []int{1, 8, 32}, "numbers of clients at the same time")
	f.StringSliceVar(&conf.Keys, "keys", []string{"P-256", "RSA-3072"}, "kinds of encryption key")
	f.StringVar(&conf.By, "by", bench.ByToken, "how clients show who they are: token or password")
	f.StringVar(&conf.Issuer, "issuer", "P-256", "the authorities' keys: P-256 or P-384 (what init makes)")
	f.IntVar(&conf.People, "people", 2048, "people in the directory")
	f.IntVar(&conf.Stored, "stored", 100_000, "pairs of certificates, and keys, in the filled database; 0 leaves that out")
	f.IntVar(&conf.Starts, "starts", 5, "how often the server is started for its start-up time")
	f.IntVar(&conf.Deposits, "deposits", 100, "deposits in a round, of which the server's CPU time is measured; 0 leaves that out")
	f.IntVar(&conf.Workstations, "workstations", 1000, "workstations that wake up at once")
	f.IntVar(&conf.CasePeople, "case-people", 1000, "people in the large recovery case; 0 leaves out what officers and recipients do")
	f.IntVar(&conf.CaseEach, "case-keys", 10, "archived keys of each of them")
	f.IntSliceVar(&conf.Entries, "list-entries", []int{1_000, 100_000, 1_000_000}, "sizes of the revocation lists, rising")
	f.IntVar(&conf.GALEntries, "gal-entries", 100_000, "people in the directory whose entries are compared and written; 0 leaves that out")
	f.StringSliceVar(&conf.Parts, "parts", bench.Parts, "what is measured")
	f.StringVar(&conf.KRA, "kra", "", "the officers' tool (default: the sealpost-kra beside this program)")
	f.StringVar(&conf.Profile, "cpu-profile", "", "write a CPU profile to this file, for go tool pprof: of the server, or with --parts archive of what takes the deposits, with --parts gal of what compares and publishes")
	asJSON := f.Bool("json", false, "print the figures as JSON")
	return conf, asJSON
}

// benchFloorCommand is the floor, in a process of its own.
func benchFloorCommand() *cobra.Command {
	c := &cobra.Command{Use: "floor", Short: "Serve as the floor that bench compares with", Args: cobra.NoArgs, Hidden: true}
	database := c.Flags().String("database", "", "URL of a database for its one table")
	issuer := c.Flags().String("issuer", "P-256", "the authority's key: P-256 or P-384")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return bench.Floor(cmd.Context(), *database, *issuer, cmd.OutOrStdout())
	}
	return c
}

// benchServeCommand is serve with a profile: what people run has no way to write one.
func benchServeCommand() *cobra.Command {
	c := &cobra.Command{Use: "serve", Short: "Run the server and write a CPU profile", Args: cobra.NoArgs, Hidden: true}
	path := configFlag(c)
	profile := c.Flags().String("cpu-profile", "", "file")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		conf, err := load(*path)
		if err != nil {
			return err
		}
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
		return serve(cmd.Context(), conf, server.Hooks{}, nil)
	}
	return c
}
