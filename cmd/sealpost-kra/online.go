package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/kra"
)

// Environment variables in place of options.
const (
	serverEnv   = "SEALPOST_SERVER"
	loginEnv    = "SEALPOST_LOGIN"
	passwordEnv = "SEALPOST_PASSWORD"
)

// onlineFlags say which server to ask, and as whom.
type onlineFlags struct{ server, roots, login, passwordFile string }

func (f *onlineFlags) add(c *cobra.Command) {
	p := c.PersistentFlags()
	p.StringVar(&f.server, "server", "", "address of the server, https://HOST:PORT, for cases that are named by their id ("+serverEnv+")")
	p.StringVar(&f.roots, "roots", "", "root certificates (PEM) for the server's TLS; else the root that you imported your card with")
	p.StringVar(&f.login, "login", "", "your login at the directory ("+loginEnv+")")
	p.StringVar(&f.passwordFile, "password-file", "", "file with the password to --login; else it is taken from "+passwordEnv+", or asked for")
}

// online connects to the server.
func (t *tool) online(c *cobra.Command) (kra.Online, error) {
	f := t.net
	server, login := f.server, f.login
	if server == "" {
		server = os.Getenv(serverEnv)
	}
	if login == "" {
		login = os.Getenv(loginEnv)
	}
	if server == "" || login == "" {
		return kra.Online{}, errors.New("say which server to ask, and as whom: --server https://HOST:PORT --login NAME")
	}
	roots, err := t.tlsRoots()
	if err != nil {
		return kra.Online{}, err
	}
	password, err := t.password(c, login)
	if err != nil {
		return kra.Online{}, err
	}
	defer clear(password)
	s, err := client.New(client.Config{BaseURL: server, Roots: roots, Login: login, Password: string(password), UserAgent: "sealpost-kra/" + version()})
	return kra.Online{Client: s}, err
}

func (t *tool) tlsRoots() (*x509.CertPool, error) {
	var roots []*x509.Certificate
	var err error
	if t.net.roots != "" {
		roots, err = kra.ReadCertificates(t.net.roots)
	} else {
		var o *kra.Officer
		if o, err = t.officer(); err == nil {
			roots, err = o.Roots()
		}
	}
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, r := range roots {
		pool.AddCert(r)
	}
	return pool, nil
}

func (t *tool) password(c *cobra.Command, login string) (keys.Unlock, error) {
	if t.net.passwordFile != "" {
		return keys.ReadPassphrase(t.net.passwordFile)
	}
	if v := os.Getenv(passwordEnv); v != "" {
		return keys.Unlock(v), nil
	}
	return askSecret(c, "The directory's password of "+login)
}

// place is where a case lies: in the folder that was named, or under its id on the server.
type place struct {
	dir    string
	id     uuid.UUID // uuid.Nil for a folder
	server kra.Online
}

// find returns the place of the case that an argument names. One on the server is fetched into the home first.
func (t *tool) find(c *cobra.Command, argument string) (place, error) {
	id, err := uuid.Parse(argument)
	if err != nil {
		return place{dir: argument}, nil
	}
	server, err := t.online(c)
	if err != nil {
		return place{}, err
	}
	if _, err := t.officer(); err != nil { // sets the home
		return place{}, err
	}
	p := place{dir: filepath.Join(t.home, "online", id.String()), id: id, server: server}
	if err := os.MkdirAll(filepath.Dir(p.dir), 0o700); err != nil {
		return p, err
	}
	_, err = server.Fetch(c.Context(), id, p.dir, newProgress(c.ErrOrStderr(), "Fetching records").report)
	return p, err
}

// fetchLog has the server show the case in its audit log, for what this officer has seen of that.
func (p place) fetchLog(c *cobra.Command, o *kra.Officer) error {
	if p.id == uuid.Nil {
		return nil
	}
	var seen []int64
	if l, err := o.Log(); err == nil && l.Size > 0 { // else the examination says what there is to say
		seen = append(seen, l.Size)
	}
	return p.server.FetchLog(c.Context(), p.id, delivery.Open(p.dir), seen...)
}

// send brings an answer to where the case came from.
func (p place) send(c *cobra.Command, a *kra.Answered) (sent bool, err error) {
	if p.id == uuid.Nil {
		return false, nil
	}
	if a.Checkpoint != nil {
		if err := p.server.SendCheckpoint(c.Context(), a.Checkpoint); err != nil {
			fmt.Fprintf(c.ErrOrStderr(), "Your answer lies in %s and was not sent: the server did not take the checkpoint of its audit log that it had shown.\n", a.File)
			return false, err
		}
	}
	k, err := p.server.Send(c.Context(), p.id, a.Answer)
	if err != nil {
		return false, fmt.Errorf("your answer is made and lies in %s, but the server did not take it; run the command again: %w", a.File, err)
	}
	fmt.Fprintf(c.ErrOrStderr(), "The server has your answer. The case is %s.\n", k.State)
	return true, nil
}

// collect has the server release the case to its recipient.
func (p place) collect(c *cobra.Command, o *kra.Officer) error {
	if p.id == uuid.Nil {
		return nil
	}
	f := delivery.Open(p.dir)
	n, err := o.Delivery(f)
	if err != nil {
		return err
	}
	return p.server.Collect(c.Context(), p.id, n, f, newProgress(c.ErrOrStderr(), "Fetching keys").report)
}

// dispute tells the server which answers were wrong.
func (p place) dispute(c *cobra.Command, wrong []wrongView) error {
	if p.id == uuid.Nil {
		return nil
	}
	for _, w := range wrong {
		if w.Dispute == "" {
			continue
		}
		d, err := os.ReadFile(w.Dispute)
		if err != nil {
			return err
		}
		if _, err := p.server.DisputeCase(c.Context(), p.id, d); err != nil {
			return err
		}
	}
	return nil
}

// close ends a case whose keys have all been written.
func (p place) close(c *cobra.Command, v *openedView) error {
	if p.id == uuid.Nil {
		return nil
	}
	for _, who := range v.People {
		if who.Files == nil || len(who.Faults) > 0 {
			return nil // it can be collected again
		}
	}
	_, err := p.server.CloseCase(c.Context(), p.id)
	return err
}

func (t *tool) casesCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "cases",
		Short: "List the cases on the server that concern you",
		Long: `Lists recovery cases that concern you as an officer or recipient, the newest first. What is said of them here is the server's
word; look at one with "show" before you decide.`,
		Example: `  sealpost-kra cases --server https://ca.example.com:8443 --login olga --state requested`,
		Args:    cobra.NoArgs,
	}
	state := c.Flags().String("state", "", "only those requested, approved, released, closed, denied, cancelled or expired")
	most := c.Flags().Int("most", 50, "how many at most")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		server, err := t.online(cmd)
		if err != nil {
			return err
		}
		list := []api.Case{}
		for k, err := range server.AllCases(cmd.Context(), client.CaseQuery{State: api.CaseState(*state)}) {
			if err != nil {
				return err
			}
			if len(list) == *most {
				break
			}
			list = append(list, k)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), list)
		}
		printCases(cmd.OutOrStdout(), list)
		return nil
	}
	return c
}

func printCases(w io.Writer, list []api.Case) {
	if len(list) == 0 {
		fmt.Fprintln(w, "There are no cases for you.")
		return
	}
	for _, k := range list {
		fmt.Fprintf(w, "%s  %-9s  %-8s  until %s  %d keys of %d people, asked for by %s\n", k.ID, k.State, k.Kind, k.Deadline.Local().Format(time.DateTime),
			k.Records, k.Subjects, record.Line(k.Requester, record.MaxName))
	}
}
