package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// galPart measures how entries of a large directory are compared and written.
type galPart struct {
	*bench
	directory *slapdtest.Server
	config    *config.Config
	server    *server.Server
	db        *pgx.Conn
	due       []galPerson // of all people, who waits for their certificate to be published
}

// mostPublications is how many people are published in a round, by each of the two. It is a multiple of what a server takes on
// at once.
const mostPublications = 1024

// writersAtOnce is how many entries the server works on at once.
const writersAtOnce = 4

// fastest lets a sweep go as fast as it can.
const fastest = 1 << 20

// measureGAL has a directory of many people compared, and certificates written into it.
func (b *bench) measureGAL(ctx context.Context) error {
	if b.GALEntries == 0 {
		return nil
	}
	defer server.Headroom()()
	g, err := b.openGAL(ctx)
	if err != nil {
		return err
	}
	defer g.server.Close()
	out := &GAL{Entries: b.GALEntries, Each: len(g.due) / (3 * b.Rounds)}
	b.report.GAL = out
	stop, err := b.profileHere()
	if err != nil {
		return err
	}
	defer stop()
	for _, rate := range []int{0, fastest} { // as configured, and as fast as it can
		s, err := g.sweep(ctx, rate)
		if err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
		if s.Missing != len(g.due) || s.Drift != len(g.due) {
			return fmt.Errorf("the sweep found %d entries without their certificate and %d that are wrong in any way; it should have been %d", s.Missing, s.Drift, len(g.due))
		}
		out.Sweeps = append(out.Sweeps, s)
	}
	if err := g.publications(ctx, out); err != nil {
		return fmt.Errorf("publications: %w", err)
	}
	last, err := g.sweep(ctx, fastest)
	if err == nil && last.Drift > 0 {
		err = fmt.Errorf("after all publications %d entries are not as they should be", last.Drift)
	}
	out.Sweeps = append(out.Sweeps, last)
	return err
}

// openGAL makes the people and opens the server's rooms on them.
func (b *bench) openGAL(ctx context.Context) (g *galPart, err error) {
	g = &galPart{bench: b}
	if g.config, err = config.Load(b.others["gal"].Config); err != nil {
		return nil, err
	}
	if g.db, err = b.connect(ctx, b.others["gal"].DatabaseURL); err != nil {
		return nil, err
	}
	begun := time.Now()
	b.say("making %d people with certificates", b.GALEntries)
	people, err := g.makePeople(ctx)
	if err != nil {
		return nil, err
	}
	if err := g.startDirectory(ctx, people); err != nil {
		return nil, err
	}
	b.say("made and loaded in %.0f s", time.Since(begun).Seconds())
	d := &g.config.Directory
	d.URLs, d.TrustFile = []string{g.directory.TLSURL()}, g.directory.TrustFile
	d.Lookup.PasswordFile, d.Publisher.PasswordFile = g.directory.Lookup.PasswordFile, g.directory.Publisher.PasswordFile
	if err := g.config.Validate(); err != nil {
		return nil, err
	}
	g.server, err = server.Open(ctx, g.config, slog.New(slog.DiscardHandler), server.Hooks{})
	return g, err
}

// sweep holds all entries against what they should show, as `sealpost gal diff --all` does.
func (g *galPart) sweep(ctx context.Context, rate int) (Sweep, error) {
	s := g.server
	p := s.GAL
	policy := p.Policy
	policy.Rate = rate
	c := p.Config
	c.Policy = policy
	p, err := gal.New(c)
	if err != nil {
		return Sweep{}, err
	}
	before, err := forgetPeak()
	if err != nil {
		return Sweep{}, err
	}
	postgres, slapd, own := cpuOf(g.installation.Cluster.PID()), cpuOf(g.directory.PID()), ownCPU()
	begun := time.Now()
	var people time.Duration
	operator := audit.Actor{Name: "bench", Roles: []audit.Role{audit.Operator}, Method: audit.MethodLocal}
	err = p.Sweep(ctx, operator, gal.Sweeping{Now: true, Progress: func(s gal.Status) {
		if people == 0 && s.Phase != gal.People {
			people = time.Since(begun)
		}
	}})
	all := time.Since(begun)
	_, peak := memoryOf(os.Getpid())
	out := Sweep{Rate: p.Policy.Rate, Seconds: all.Seconds(), People: people.Seconds(), AddedMiB: peak - before,
		CPU: (ownCPU() - own).Seconds(), Postgres: (cpuOf(g.installation.Cluster.PID()) - postgres).Seconds(), Directory: (cpuOf(g.directory.PID()) - slapd).Seconds()}
	if err != nil {
		return out, err
	}
	status, err := p.Status(ctx, operator)
	if err != nil {
		return out, err
	}
	if status.People != g.GALEntries || status.Phase != gal.Done || status.Stopped != "" {
		return out, fmt.Errorf("%d of %d people were compared; it stopped at %s %s", status.People, g.GALEntries, status.Phase, status.Stopped)
	}
	out.Missing = status.Drift[gal.Missing]
	for _, n := range status.Drift {
		out.Drift += n
	}
	g.say("a sweep of %d entries, at most %d a second: %.1f s, %.0f MiB more memory, %d entries not as they should be", g.GALEntries, out.Rate, out.Seconds, out.AddedMiB, out.Drift)
	return out, nil
}

// publications has the server publish certificates as it does after enrolments, and ldapmodify write as many, in turns.
func (g *galPart) publications(ctx context.Context, out *GAL) error {
	s := g.server
	s.GAL.Register(s.Jobs)
	if err := s.Jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	running, cancel := context.WithCancel(ctx)
	sequenced := make(chan struct{})
	go func() { s.Audit.Run(running); close(sequenced) }()
	err := g.rounds(ctx, out)
	cancel()
	<-sequenced
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(err, s.Jobs.Stop(stop))
}

func (g *galPart) rounds(ctx context.Context, out *GAL) error {
	var ours, raw, together []float64
	var work cost
	rest := g.due
	next := func() (list []galPerson) {
		list, rest = rest[:out.Each], rest[out.Each:]
		return list
	}
	for round := range g.Rounds {
		turns := []func() error{func() error {
			before := g.cost()
			took, err := g.publish(ctx, next())
			ours = append(ours, float64(out.Each)/took.Seconds())
			work = work.plus(g.cost().minus(before))
			return errors.Join(err, g.sequenced(ctx))
		}, func() error {
			perSecond, err := g.ldapmodify(ctx, next(), 1)
			raw = append(raw, perSecond)
			return err
		}, func() error {
			perSecond, err := g.ldapmodify(ctx, next(), writersAtOnce)
			together = append(together, perSecond)
			return err
		}}
		if round%2 == 1 {
			slices.Reverse(turns)
		}
		for _, turn := range turns {
			if err := turn(); err != nil {
				return err
			}
		}
		g.say("round %d of %d: published %.0f/s, ldapmodify %.0f/s, %d of them at once %.0f/s", round+1, g.Rounds, ours[round], raw[round], writersAtOnce, together[round])
	}
	out.PerSecond, out.Raw, out.Ratio = median(ours), median(raw), median(ratio(ours, raw))
	out.Together, out.RatioTogether = median(together), median(ratio(ours, together))
	n := time.Duration(out.Each * g.Rounds)
	out.CPU = CPU{Server: ms(work.server / n), Postgres: ms(work.postgres / n), Directory: ms(work.directory / n)}
	return nil
}

func (g *galPart) cost() cost {
	return cost{server: ownCPU(), postgres: cpuOf(g.installation.Cluster.PID()), directory: cpuOf(g.directory.PID())}
}

// publish puts people on the list of those to be published, and waits until the server has been through with them, their events in
// the audit log included.
func (g *galPart) publish(ctx context.Context, people []galPerson) (time.Duration, error) {
	ids := make([]uuid.UUID, len(people))
	for n, p := range people {
		ids[n] = p.id
	}
	begun := time.Now()
	if _, err := g.db.Exec(ctx, `insert into publication.due (person, not_before) select p, $2 from unnest($1::uuid[]) p`, ids, begun); err != nil {
		return 0, err
	}
	err := g.none(ctx, "publication.due")
	return time.Since(begun), err
}

// sequenced waits until the events have their places in the log: that disturbs nobody then.
func (g *galPart) sequenced(ctx context.Context) error { return g.none(ctx, "audit.pending") }

// none waits until a table has no rows.
func (g *galPart) none(ctx context.Context, table string) error {
	for begun := time.Now(); ; {
		var left int
		if err := g.db.QueryRow(ctx, "select count(*) from "+table).Scan(&left); err != nil || left == 0 {
			return err
		}
		if time.Since(begun) > g.patient {
			return fmt.Errorf("%s still has %d rows", table, left)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// GAL is what was measured of the directory.
type GAL struct {
	Entries   int     `json:"entries"`
	Each      int     `json:"publications_each_round"`
	PerSecond float64 `json:"publications_per_second"`
	Raw       float64 `json:"ldapmodify_per_second"`
	Ratio     float64 `json:"ratio"` // median of the rounds' own
	// Together is as many ldapmodify at once as we use connections.
	Together      float64 `json:"ldapmodify_together_per_second"`
	RatioTogether float64 `json:"ratio_to_together"`
	CPU           CPU     `json:"cpu_ms"` // of one publication
	Sweeps        []Sweep `json:"sweeps"`
}

// Sweep is one comparison of all entries.
type Sweep struct {
	Rate      int     `json:"most_per_second"` // what the policy allows
	Seconds   float64 `json:"seconds"`
	People    float64 `json:"people_seconds"` // of them, until everybody with a certificate was compared
	AddedMiB  float64 `json:"added_mib"`      // resident memory at most, beyond what there was before
	CPU       float64 `json:"cpu_seconds"`
	Postgres  float64 `json:"postgres_cpu_seconds"`
	Directory float64 `json:"directory_cpu_seconds"`
	Missing   int     `json:"missing"` // entries without their certificate
	Drift     int     `json:"drift"`   // entries that are not as they should be
}

func printGAL(out io.Writer, g *GAL) {
	fmt.Fprintln(out, "\npublications\tper second\tldapmodify\tratio\tfour at once\tratio\tCPU ms each: server\tPostgreSQL\tdirectory\t")
	fmt.Fprintf(out, "%d in a round\t%.0f\t%.0f\t%.2f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", g.Each, g.PerSecond, g.Raw, g.Ratio, g.Together, g.RatioTogether, g.CPU.Server, g.CPU.Postgres, g.CPU.Directory)
	fmt.Fprintf(out, "\nsweep of %d entries, at most a second\tseconds\tof that people\tmore memory, MiB\tCPU s: server\tPostgreSQL\tdirectory\tnot as they should be\t\n", g.Entries)
	for _, s := range g.Sweeps {
		fmt.Fprintf(out, "%d\t%.1f\t%.1f\t%.0f\t%.1f\t%.1f\t%.1f\t%d\t\n", s.Rate, s.Seconds, s.People, s.AddedMiB, s.CPU, s.Postgres, s.Directory, s.Drift)
	}
}
