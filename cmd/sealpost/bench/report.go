package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is what was measured. Rates are medians of the rounds, latencies of all rounds together, and a ratio is the
// median of the rounds' ratios: its two sides were measured one after the other.
type Report struct {
	Machine      Machine        `json:"machine"`
	Rounds       int            `json:"rounds"`
	Seconds      float64        `json:"seconds"`
	By           string         `json:"by"`
	Issuer       string         `json:"issuer"`
	StartMS      []float64      `json:"start_ms"` // from exec to the first good answer about health
	Floor        []Rate         `json:"floor"`
	Enrolments   []Rate         `json:"enrolments"`
	Cryptography []Cryptography `json:"cryptography"`
	Memory       Memory         `json:"memory"`
	Stored       *Stored        `json:"stored,omitempty"`
	Archive      *Archive       `json:"archive,omitempty"`
	Lists        []Lists        `json:"lists,omitempty"`
	OCSP         []OCSP         `json:"ocsp,omitempty"`
	Delays       []Delay        `json:"delays,omitempty"`
	GAL          *GAL           `json:"gal,omitempty"`
	Pages        *Pages         `json:"pages,omitempty"`
	Workstations *Workstations  `json:"workstations,omitempty"`
}

// Machine is where it was measured.
type Machine struct {
	CPU       string `json:"cpu"`
	CPUs      int    `json:"cpus"`
	Go        string `json:"go"`
	Postgres  string `json:"postgres"`
	Fsync     string `json:"fsync"`
	SyncAfter string `json:"synchronous_commit"`
}

// Rate is how many answers a second a server gave to a number of clients.
type Rate struct {
	Key       string  `json:"key,omitempty"` // kind of encryption key
	Clients   int     `json:"clients"`
	Answers   int     `json:"answers"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Ratio     float64 `json:"ratio_to_floor,omitempty"`
	// Settled is PerSecond with the time counted in that publication in the directory and the audit log's sequencer took
	// after the last answer.
	Settled float64 `json:"settled_per_second,omitempty"`
	CPU     CPU     `json:"cpu_ms"`                 // of one answer
	After   float64 `json:"cpu_ms_after,omitempty"` // and of what follows from it after the last answer, in server, PostgreSQL and directory
}

// CPU is CPU time in milliseconds.
type CPU struct {
	Server    float64 `json:"server"`
	Postgres  float64 `json:"postgres"`
	Directory float64 `json:"directory,omitempty"`
	Load      float64 `json:"load"`
}

// Cryptography is what one enrolment cannot do without.
type Cryptography struct {
	Key   string  `json:"key"`
	Parts []Part  `json:"parts"`
	MS    float64 `json:"ms"` // their sum
}

// Part is one piece of it.
type Part struct {
	Name  string  `json:"name"`
	Times int     `json:"times"`
	MS    float64 `json:"ms"` // once
}

// Memory is the server's resident memory after all rounds, in MiB.
type Memory struct {
	Now  float64 `json:"now_mib"`
	Peak float64 `json:"peak_mib"`
}

// Stored compares a server whose database holds many pairs with one whose database began empty.
type Stored struct {
	Pairs  int     `json:"pairs"`
	Full   Rate    `json:"full"`
	Empty  Rate    `json:"empty"`
	Ratio  float64 `json:"ratio"`
	Memory Memory  `json:"memory"`
}

// rate sums rounds up.
func rate(key string, rounds []measured) Rate {
	out := Rate{Key: key, Clients: rounds[0].clients}
	var all []time.Duration
	var per, settled []float64
	var work, after cost
	for _, m := range rounds {
		all = append(all, m.latencies...)
		out.Answers += m.answers
		per = append(per, m.perSecond())
		settled = append(settled, float64(m.answers)/(m.took+m.settling).Seconds())
		work, after = work.plus(m.work), after.plus(m.after)
	}
	slices.Sort(all)
	out.PerSecond, out.P50, out.P99 = median(per), ms(quantile(all, 0.5)), ms(quantile(all, 0.99))
	if key != "" {
		out.Settled = median(settled)
	}
	n := time.Duration(max(1, out.Answers))
	out.CPU = CPU{ms(work.server / n), ms(work.postgres / n), ms(work.directory / n), ms(work.load / n)}
	out.After = ms((after.server + after.postgres + after.directory) / n)
	return out
}

// ratios returns the median of the rounds' ratios.
func ratios(a, b []measured) float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = a[i].perSecond() / b[i].perSecond()
	}
	return median(out)
}

func median[T cmp.Ordered](list []T) T {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// quantile of a sorted list.
func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	return list[min(len(list)-1, int(q*float64(len(list))))]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Print writes the report for people.
func (r *Report) Print(out io.Writer) error {
	fmt.Fprintf(out, "%d rounds of %g s; %d CPUs (%s); %s; PostgreSQL %s, fsync %s, synchronous_commit %s\n", r.Rounds, r.Seconds,
		r.Machine.CPUs, r.Machine.CPU, r.Machine.Go, r.Machine.Postgres, r.Machine.Fsync, r.Machine.SyncAfter)
	if len(r.Floor) > 0 {
		if err := r.printEnrolments(out); err != nil {
			return err
		}
	}
	if err := r.printCryptography(out); err != nil {
		return err
	}
	if r.Archive != nil {
		if err := r.Archive.print(out); err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(r.Lists) > 0 {
		printLists(w, r.Lists)
	}
	if len(r.OCSP) > 0 {
		printOCSP(w, r.OCSP)
	}
	if len(r.Delays) > 0 {
		printDelays(w, r.Delays)
	}
	if r.GAL != nil {
		printGAL(w, r.GAL)
	}
	if r.Pages != nil {
		printPages(w, r.Pages)
	}
	if r.Workstations != nil {
		printWorkstations(w, r.Workstations)
	}
	return w.Flush()
}

func (r *Report) printEnrolments(out io.Writer) error {
	fmt.Fprintf(out, "Clients show who they are by %s. The authorities' keys are %s.\n\n", r.By, r.Issuer)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tclients\tper second\tp50 ms\tp99 ms\tof the floor\tall done\tCPU ms each: server\tPostgreSQL\tdirectory\tclients\tafterwards\t")
	row := func(name string, x Rate) {
		ratio, settled, after := "", "", ""
		if x.Ratio > 0 {
			ratio = fmt.Sprintf("%.3f", x.Ratio)
		}
		if x.Settled > 0 {
			settled, after = fmt.Sprintf("%.0f", x.Settled), fmt.Sprintf("%.2f", x.After)
		}
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.2f\t%.2f\t%s\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t\n", name, x.Clients, x.PerSecond, x.P50, x.P99, ratio, settled,
			x.CPU.Server, x.CPU.Postgres, x.CPU.Directory, x.CPU.Load, after)
	}
	for _, x := range r.Floor {
		row("floor (certificates)", x)
	}
	for _, x := range r.Enrolments {
		row("pairs, "+x.Key, x)
	}
	if r.Stored != nil {
		row("began empty", r.Stored.Empty)
		row(fmt.Sprintf("%d pairs stored", r.Stored.Pairs), r.Stored.Full)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nAll done: with the time counted in until certificates are in the directory and events in their place in the log.\n")
	if r.Stored != nil {
		fmt.Fprintf(out, "With %d pairs stored: %.2f of the rate of a database that began empty; memory %.0f MiB, at most %.0f MiB.\n",
			r.Stored.Pairs, r.Stored.Ratio, r.Stored.Memory.Now, r.Stored.Memory.Peak)
	}
	fmt.Fprintf(out, "Start to first answer: %.0f ms (median of %d). Memory of the server: %.0f MiB, at most %.0f MiB.\n\n",
		median(r.StartMS), len(r.StartMS), r.Memory.Now, r.Memory.Peak)
	return nil
}

func (r *Report) printCryptography(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, c := range r.Cryptography {
		fmt.Fprintf(w, "cryptography of one pair, encryption key %s\tms\t\n", c.Key)
		for _, p := range c.Parts {
			fmt.Fprintf(w, "%s\t%.3f\t × %d\n", p.Name, p.MS, p.Times)
		}
		fmt.Fprintf(w, "sum\t%.3f\t\n\n", c.MS)
	}
	return w.Flush()
}
