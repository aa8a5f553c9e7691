package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Archive is what was measured of the archive. Times of one core are CPU time, user and system, from the kernel's accounts.
type Archive struct {
	Deposits []Deposits  `json:"deposits,omitempty"`
	Officer  []Primitive `json:"officer,omitempty"`
	Case     *Case       `json:"case,omitempty"`
	Reshare  *Reshare    `json:"reshare,omitempty"`
}

// Spread is what several runs yielded.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
}

// Deposits is the server's part of depositing a key: opening the client's message, all checks, sealing, storing, the
// receipt. What the database server does is not in it.
type Deposits struct {
	Key          string     `json:"key"`
	Each         int        `json:"each"`                        // deposits in a round
	MS           Spread     `json:"cpu_ms"`                      // one, by rounds
	Cryptography Spread     `json:"cryptography_ms"`             // its sum, measured after each round
	Ratio        float64    `json:"ratio_to_cryptography"`       // median of the rounds' own
	PerSecond    float64    `json:"per_second_of_one_processor"` // by the median
	Record       RecordSize `json:"record_bytes"`
}

// RecordSize is how many bytes a record has, for a person with an ordinary name and address.
type RecordSize struct {
	Key     int `json:"key"`     // as PKCS#8
	Capsule int `json:"capsule"` // what officers see
	Inner   int `json:"inner"`   // with the encrypted key: what a recipient gets
	Outer   int `json:"outer"`   // with the server's own layer: what is stored
}

// Primitive is a piece of an officer's cryptography for one record.
type Primitive struct {
	Name string `json:"name"`
	MS   Spread `json:"cpu_ms"`
}

// Effort is what several runs of the same took.
type Effort struct {
	Runs    int     `json:"runs"`
	Wall    Spread  `json:"seconds"`
	CPU     Spread  `json:"cpu_seconds"`
	PeakMiB float64 `json:"peak_mib,omitempty"` // the largest
}

// Case is one case for all keys of many people.
type Case struct {
	Key     string `json:"key"`
	People  int    `json:"people"`
	Each    int    `json:"keys_each"`
	Approve Effort `json:"approve"` // by one officer: verify everything, decrypt in part, seal, sign
	// ApproveCryptography is the CPU time, in seconds, of the proofs and partial decryptions alone.
	ApproveCryptography float64 `json:"approve_cryptography_seconds"`
	Open                Effort  `json:"open"` // by the recipient: verify everything, combine, open, write one file a person
}

func (c *Case) keys() int { return c.People * c.Each }

// Reshare is passing the archive's key on, done by all officers together.
type Reshare struct {
	From int `json:"from"`
	To   int `json:"to"`
	Effort
}

func (a *Archive) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(a.Deposits) > 0 {
		fmt.Fprintln(w, "deposit, server's part\tCPU ms: least\tmedian\ta second, one core\tits cryptography, ms\ttimes that\trecord, bytes: stored\twithout the server's layer\tofficers see\tkey alone\t")
	}
	for _, d := range a.Deposits {
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.0f\t%.2f\t%.2f\t%d\t%d\t%d\t%d\t\n", d.Key, d.MS.Min, d.MS.Median, d.PerSecond, d.Cryptography.Median, d.Ratio,
			d.Record.Outer, d.Record.Inner, d.Record.Capsule, d.Record.Key)
	}
	if len(a.Officer) > 0 {
		fmt.Fprintln(w, "\nofficer, one record\tCPU ms: least\tmedian\ta second, one core\t")
	}
	for _, p := range a.Officer {
		fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%.0f\t\n", p.Name, p.MS.Min, p.MS.Median, 1000/p.MS.Median)
	}
	if a.Case != nil {
		c := a.Case
		fmt.Fprintf(w, "\none case, %d people with %d keys (%s)\tseconds: least\tmedian\tCPU s: least\tmedian\tmemory, MiB\truns\t\n", c.People, c.Each, c.Key)
		c.Approve.print(w, fmt.Sprintf("one officer verifies and approves %d keys", c.keys()))
		fmt.Fprintf(w, "of that, proofs and partial decryptions\t\t\t%.2f\t\t\t\t\n", c.ApproveCryptography)
		c.Open.print(w, fmt.Sprintf("recipient opens them into %d files", c.People))
	}
	if a.Reshare != nil {
		a.Reshare.print(w, fmt.Sprintf("reshare, %d to %d officers, all of them together", a.Reshare.From, a.Reshare.To))
	}
	return w.Flush()
}

func (e Effort) print(w io.Writer, name string) {
	memory := ""
	if e.PeakMiB > 0 {
		memory = fmt.Sprintf("%.0f", e.PeakMiB)
	}
	fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t%d\t\n", name, e.Wall.Min, e.Wall.Median, e.CPU.Min, e.CPU.Median, memory, e.Runs)
}
