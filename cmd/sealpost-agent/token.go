package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/fault"
)

var (
	errTokenList = fault.New(fault.Malformed, "token-list", "The list of people cannot be read: a CSV file whose first line has a column mailbox.")
	errTokenOut  = fault.New(fault.Malformed, "token-out", "The file for the tokens is there already. Tokens are shown once: name another.")
	errTokens    = fault.New(fault.Malformed, "tokens-incomplete", "Not everybody has got a token. The list says who has not, and why.")
)

const (
	maxTokenList = 16 << 20
	maxTokenRows = 100_000
)

type tokenFlags struct {
	people    []string
	list, out string
	name, use string
	hours     int
	tell      bool
}

func tokenCommand(s *session) *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "As a registrar: make enrolment tokens, list and withdraw them", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var o tokenFlags
	makes := &cobra.Command{
		Use:   "make",
		Short: "Make enrolment tokens, for one person or for many",
		Long: `Makes enrolment tokens, each for one enrolment of one person: for those named with --for, or for everybody in a list, a CSV file
whose first line has a column mailbox. Hand each over on a way that you trust. With --kerberos your password is asked for all the same: everybody at an unlocked
screen has a ticket. It is for the KDC alone.

With --out the tokens are written into a new file that nobody else may read (CSV: mailbox, token, number, ends, code, detail), else to standard
output. The server makes no second token for the same person by the same list: should the answer be lost, run the same command again, and it
says which tokens were made and are not known; withdraw them by their numbers. Another round with the same list needs another --name.`,
		Example: `  sealpost-agent token make --login rita --for alice@example.com
  sealpost-agent token make --login rita --list people.csv --out tokens.csv --hours 168`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.makeTokens(cmd.Context(), o) },
	}
	f := makes.Flags()
	f.StringArrayVar(&o.people, "for", nil, "a person's mail address; may be given several times")
	f.StringVar(&o.list, "list", "", "CSV file with a column mailbox")
	f.StringVar(&o.out, "out", "", "new file for the tokens")
	f.StringVar(&o.name, "name", "", "name of this round (default: from the list itself)")
	f.StringVar(&o.use, "use", "handed", "who is to use them: handed (the person) or behalf (you, for the person)")
	f.BoolVar(&o.tell, "tell", false, "tell those people by mail that there is a token for them; the mail does not hold it")
	f.IntVar(&o.hours, "hours", 72, "how long they serve, up to 720")
	list := &cobra.Command{Use: "list", Short: "List the tokens that can still be used", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.listTokens(cmd.Context()) }}
	withdraw := &cobra.Command{Use: "withdraw NUMBER…", Short: "Make tokens of no use", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.withdrawTokens(cmd.Context(), args) }}
	c.AddCommand(makes, list, withdraw)
	return c
}

func (s *session) makeTokens(ctx context.Context, o tokenFlags) error {
	people := o.people
	if o.list != "" {
		data, err := readLimited(o.list, maxTokenList)
		if err != nil {
			return err
		}
		listed, err := parseTokenList(data)
		if err != nil {
			return err
		}
		people = append(people, listed...)
	}
	if len(people) == 0 {
		return errTokenList.Withf("Say for whom: --for ADDRESS, or --list FILE.")
	}
	if o.out != "" { // before anything is made
		if _, err := os.Lstat(o.out); !errors.Is(err, fs.ErrNotExist) {
			return errTokenOut.Because(err)
		}
	}
	if o.name == "" {
		o.name = uuid.NewString()
		if o.list != "" {
			sum := sha256.Sum256([]byte(strings.Join(people, "\n")))
			o.name = "list " + hex.EncodeToString(sum[:16])
		}
	}
	c, err := s.registrar()
	if err != nil {
		return err
	}
	defer c.Close()
	var made []api.TokenMade
	var ends time.Time
	var failed error
	for batch := range slices.Chunk(people, api.MaxTokens) {
		got, err := c.MakeTokens(ctx, o.name, api.TokensRequest{Mailboxes: batch, Hours: o.hours, Use: o.use, Tell: o.tell})
		if err != nil {
			failed = err
			break
		}
		made, ends = append(made, got.Items...), got.Ends
		s.progress("token", fmt.Sprintf("%d of %d", len(made), len(people)))
	}
	if len(made) == 0 && failed != nil {
		return failed
	}
	if err := s.showTokens(made, ends, o.out); err != nil || failed != nil { // what was made is shown, whatever came then
		return errors.Join(failed, err)
	}
	if slices.ContainsFunc(made, func(m api.TokenMade) bool { return m.Token == "" }) {
		return errTokens
	}
	return nil
}

// parseTokenList returns the column mailbox.
func parseTokenList(data []byte) (out []string, err error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	r.FieldsPerRecord = -1
	head, err := r.Read()
	if err != nil {
		return nil, errTokenList.Because(err)
	}
	column := slices.IndexFunc(head, func(h string) bool { return strings.EqualFold(strings.TrimSpace(h), "mailbox") })
	if column < 0 {
		return nil, errTokenList
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, errTokenList.Because(err)
		}
		line, _ := r.FieldPos(0)
		if column >= len(row) || strings.TrimSpace(row[column]) == "" {
			return nil, errTokenList.Withf("Line %d of the list has no mail address.", line)
		}
		if out = append(out, strings.TrimSpace(row[column])); len(out) > maxTokenRows {
			return nil, errTokenList.Withf("The list has more than %d people.", maxTokenRows)
		}
	}
}

func (s *session) showTokens(made []api.TokenMade, ends time.Time, out string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{"mailbox", "token", "number", "ends", "code", "detail"}}
	for _, m := range made {
		row := []string{m.Mailbox, m.Token, "", "", m.Code, plain(m.Detail)}
		if m.Number != 0 {
			row[2] = strconv.FormatInt(m.Number, 10)
		}
		if m.Token != "" {
			row[3] = ends.UTC().Format(time.RFC3339)
		}
		rows = append(rows, row)
	}
	if err := w.WriteAll(rows); err != nil {
		return err
	}
	if out != "" {
		return disk.Write(out, b.Bytes(), 0o600)
	}
	if s.json {
		return s.write(made, nil)
	}
	_, err := s.stdout.Write(b.Bytes())
	return err
}

func (s *session) listTokens(ctx context.Context) error {
	c, err := s.registrar()
	if err != nil {
		return err
	}
	defer c.Close()
	all := []api.MintedToken{}
	for t, err := range c.AllTokens(ctx) {
		if err != nil {
			return err
		}
		all = append(all, t)
	}
	return s.write(all, func(w io.Writer) {
		fmt.Fprintln(w, "NUMBER\tFOR\tMADE BY\tUSE\tENDS")
		for _, t := range all {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", t.Number, t.Person, t.MadeBy, plain(t.Use), t.Ends.Local().Format(time.DateTime))
		}
	})
}

func (s *session) withdrawTokens(ctx context.Context, numbers []string) error {
	var list []int64
	for _, n := range numbers {
		number, err := strconv.ParseInt(n, 10, 64)
		if err != nil || number <= 0 {
			return errTokenList.Withf("%q is no token's number. token list shows them.", n)
		}
		list = append(list, number)
	}
	c, err := s.registrar()
	if err != nil {
		return err
	}
	defer c.Close()
	for _, n := range list {
		if _, err := c.WithdrawToken(ctx, n); err != nil {
			return err
		}
		s.progress("token", fmt.Sprintf("token %d is of no use any more", n))
	}
	return nil
}

// registrar connects as one.
func (s *session) registrar() (*client.Client, error) {
	settings, credentials, err := s.told()
	if err != nil {
		return nil, err
	}
	if !isPerson(credentials) {
		return nil, errNoRegistrar.Withf("Say who you are: with --login, --kerberos or --openid. You must be in the group of registrars.")
	}
	if credentials.Roots, err = settings.TLSRoots(); err != nil {
		return nil, err
	}
	credentials.BaseURL, credentials.UserAgent = settings.Server, userAgent()
	return client.New(credentials)
}
