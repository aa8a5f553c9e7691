package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/kra"
)

func (t *tool) showCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show FILE",
		Short: "Print a case, a plan, a roster or a card in words",
		Long: `Prints what a case's folder, a plan (or a ceremony's folder), a roster or a card says.

A case is checked as for approve; what speaks against approving it is said. Whose keys it asks for is printed only if all
records could be verified, and comes from them. A roster is checked against itself, every officer's signature included;
whether its certificates can be trusted, and whether it is the right one, is not said here.`,
		Args: cobra.ExactArgs(1),
	}
	asJSON := c.Flags().Bool("json", false, "print JSON")
	all := c.Flags().Bool("all", false, "print all people of a large case")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := t.find(cmd, args[0])
		if err != nil {
			return err
		}
		if p.id != uuid.Nil {
			o, err := t.officer()
			if err != nil {
				return err
			}
			if err := p.fetchLog(cmd, o); err != nil {
				return err
			}
		}
		d, err := t.describe(cmd, p.dir, *all)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), d)
		}
		d.print(cmd.OutOrStdout())
		return nil
	}
	return c
}

// described is something that can be shown to a person, or to a program as JSON.
type described interface{ print(io.Writer) }

// describe says what is in a file or folder.
func (t *tool) describe(c *cobra.Command, path string, all bool) (described, error) {
	if !delivery.IsFolder(path) {
		return describeFile(path)
	}
	o, err := t.officer()
	if err != nil {
		return nil, err
	}
	x, err := examine(c, o, path)
	if err != nil {
		return nil, err
	}
	v := describeCase(x)
	v.all = all
	return v, nil
}

// describeFile says what is in a file, or in a ceremony's folder.
func describeFile(path string) (described, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, kra.PlanFile)
	}
	v, err := kra.Read(path)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case *record.Roster:
		if err := v.Verify(record.VerifyOptions{Pins: []record.Hash{v.Hash()}, SingleAgentMayOpenAlone: true}); err != nil {
			return nil, err
		}
		return describeRoster(v), nil
	case *record.Plan:
		return describePlan(v), nil
	case *kra.AgentCard:
		return describeAgent(record.Agent{Person: v.Person, Name: v.Name, Signing: v.Signing, Decryption: v.Decryption}), nil
	case *kra.RecipientCard:
		return describeRecipient(record.Recipient{Person: v.Person, Name: v.Name, Certificate: v.Certificate}), nil
	}
	return nil, fmt.Errorf("%s: %w", path, kra.ErrFile)
}

type planView struct {
	Archive   string          `json:"archive"`
	Created   time.Time       `json:"created"`
	Epoch     uint32          `json:"epoch"`
	Origin    string          `json:"origin"`
	Threshold int             `json:"threshold"`
	Previous  string          `json:"previous,omitempty"` // in a reshare: the pin of the roster that is passed on
	Dealers   []uint16        `json:"dealers,omitempty"`  // and by whom of its officers
	Agents    []agentView     `json:"agents"`
	Receivers []recipientView `json:"recipients,omitempty"`
	Hash      string          `json:"hash"`
	Words     []string        `json:"words"`
}

type agentView struct {
	ID         uint16          `json:"id,omitempty"`
	Name       string          `json:"name"`
	Person     string          `json:"person"`
	Signing    certificateView `json:"signing"`
	Decryption certificateView `json:"decryption"`
}

type recipientView struct {
	Name        string          `json:"name"`
	Person      string          `json:"person"`
	Business    bool            `json:"business"`
	Legal       bool            `json:"legal"`
	Certificate certificateView `json:"certificate"`
}

type certificateView struct {
	Fingerprint string    `json:"sha256"`
	Issuer      string    `json:"issuer"`
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
}

type rosterView struct {
	Plan  planView `json:"plan"`
	KeyID string   `json:"key_id"`
	Pin   string   `json:"pin"`
	Words []string `json:"words"`
}

type statusView struct {
	Archive   string        `json:"archive"`
	Threshold int           `json:"threshold"`
	Agents    int           `json:"agents"`
	Plan      string        `json:"plan"`
	Agreed    bool          `json:"agreed"`
	Round     string        `json:"round"`
	Missing   []missingView `json:"missing"`
	Pin       string        `json:"pin,omitempty"`
}

type missingView struct {
	ID   uint16 `json:"id"`
	Name string `json:"name"`
	File string `json:"file"`
}

func describePlan(p *record.Plan) planView {
	v := planView{Archive: p.Archive, Created: p.Created, Epoch: p.Epoch, Origin: p.Origin.String(), Threshold: int(p.Threshold),
		Hash: p.Hash().String(), Words: p.Hash().Words()}
	if p.IsReshare() {
		v.Previous, v.Dealers = p.Previous.String(), p.Dealers
	}
	for _, a := range p.Agents {
		v.Agents = append(v.Agents, describeAgent(a))
	}
	for _, r := range p.Recipients {
		v.Receivers = append(v.Receivers, describeRecipient(r))
	}
	return v
}

func describeAgent(a record.Agent) agentView {
	return agentView{ID: a.ID, Name: a.Name, Person: a.Person.String(), Signing: describeCertificate(a.Signing), Decryption: describeCertificate(a.Decryption)}
}

func describeRecipient(r record.Recipient) recipientView {
	return recipientView{Name: r.Name, Person: r.Person.String(), Business: r.Uses&record.UseBusiness != 0, Legal: r.Uses&record.UseLegal != 0,
		Certificate: describeCertificate(r.Certificate)}
}

func describeCertificate(c *x509.Certificate) certificateView {
	return certificateView{record.Fingerprint(c).String(), record.Line(c.Issuer.CommonName, 100), c.NotBefore, c.NotAfter}
}

func describeRoster(r *record.Roster) rosterView {
	return rosterView{Plan: describePlan(r.Plan), KeyID: r.KeyID().String(), Pin: r.Hash().String(), Words: r.Hash().Words()}
}

func describeStatus(s *kra.Status) statusView {
	v := statusView{Archive: s.Plan.Archive, Threshold: int(s.Plan.Threshold), Agents: len(s.Plan.Agents), Plan: s.Plan.Hash().String(),
		Agreed: s.Agreed, Round: kra.RoundName(s.Round), Missing: []missingView{}}
	for _, id := range s.Missing {
		v.Missing = append(v.Missing, missingView{id, s.Name(id), kra.MessageFile(id, s.Round)})
	}
	if s.Roster != nil {
		v.Pin = s.Roster.Hash().String()
	}
	return v
}

func (v planView) print(w io.Writer) {
	fmt.Fprintf(w, "Plan for the archive of %s, made %s\n", v.Archive, v.Created.Format("2 January 2006 15:04 MST"))
	v.printContent(w)
	printHash(w, "The plan's hash", v.Words, v.Hash)
}

func (v planView) printContent(w io.Writer) {
	if v.Threshold == 1 {
		fmt.Fprintln(w, "  WEAKER: every one of the officers alone opens everything")
	} else {
		fmt.Fprintf(w, "  %d of %d officers open it together\n", v.Threshold, len(v.Agents))
	}
	dealt := v.Origin == record.OriginDealer.String()
	switch {
	case v.Previous != "":
		fmt.Fprintf(w, "  they take over an existing key, from the roster with the pin\n    %s\n  of whose officers these hand over: number %s\n", v.Previous, numbers(v.Dealers))
		if dealt {
			fmt.Fprintln(w, "  WEAKER: one machine made the whole key at the beginning; whoever controlled that machine has it")
		}
	case dealt:
		fmt.Fprintln(w, "  WEAKER: one machine makes the whole key and deals it; whoever controls that machine has it")
	default:
		fmt.Fprintln(w, "  all officers make the key together; it exists as a whole nowhere, at no time")
	}
	for _, a := range v.Agents {
		a.print(w)
	}
	for _, r := range v.Receivers {
		r.print(w)
	}
	if len(v.Receivers) == 0 {
		fmt.Fprintln(w, "Nobody may receive keys in business or legal cases.")
	}
}

func numbers(list []uint16) string {
	var out []string
	for _, n := range list {
		out = append(out, fmt.Sprint(n))
	}
	return strings.Join(out, ", ")
}

func (v agentView) print(w io.Writer) {
	if v.ID != 0 {
		fmt.Fprintf(w, "Officer %d: %s\n", v.ID, v.Name)
	} else {
		fmt.Fprintf(w, "Officer %s\n", v.Name)
	}
	fmt.Fprintf(w, "  person      %s\n", v.Person)
	v.Signing.print(w, "signs with  ")
	v.Decryption.print(w, "opens with  ")
}

func (v recipientView) print(w io.Writer) {
	var uses []string
	if v.Business {
		uses = append(uses, "business")
	}
	if v.Legal {
		uses = append(uses, "legal")
	}
	if len(uses) > 0 {
		fmt.Fprintf(w, "Recipient in %s cases: %s\n", strings.Join(uses, " and "), v.Name)
	} else {
		fmt.Fprintf(w, "Recipient %s\n", v.Name)
	}
	fmt.Fprintf(w, "  person      %s\n", v.Person)
	v.Certificate.print(w, "opens with  ")
}

func (v certificateView) print(w io.Writer, label string) {
	fmt.Fprintf(w, "  %s%s\n              from %s, until %s\n", label, v.Fingerprint, v.Issuer, v.Until.Format(time.DateOnly))
}

func (v rosterView) print(w io.Writer) {
	fmt.Fprintf(w, "Roster of the archive of %s, epoch %d, planned %s\n", v.Plan.Archive, v.Plan.Epoch, v.Plan.Created.Format("2 January 2006"))
	v.Plan.printContent(w)
	fmt.Fprintf(w, "The archive's key\n  %s\n", v.KeyID)
	printHash(w, "The roster's hash, its pin", v.Words, v.Pin)
}

// printHash prints the words in four numbered lines.
func printHash(w io.Writer, what string, words []string, hex string) {
	fmt.Fprintf(w, "%s\n", what)
	for i := 0; i+4 <= len(words); i += 4 {
		fmt.Fprintf(w, "  %2d  %s\n", i+1, strings.Join(words[i:i+4], "  "))
	}
	fmt.Fprintf(w, "  %s\n", hex)
}
