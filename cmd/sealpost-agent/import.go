package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent/foreign"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/pkcs12"
)

var (
	errImport      = fault.New(fault.Malformed, "import-incomplete", "Not everything was archived. The report says what and why.")
	errAgentKey    = fault.New(fault.Malformed, "recovery-agent-key", "The recovery agent's key cannot be read.")
	errNoRegistrar = fault.New(fault.Malformed, "import-login", "Say who imports: with --login, --kerberos or --openid. They must be in the group of registrars.")
)

type importFlags struct {
	list, p12Password        string
	agents                   []string
	agentPassword, report    string
	departed, dryRun, allRow bool
}

func importCommand(s *session) *cobra.Command {
	var o importFlags
	c := &cobra.Command{
		Use:   "import PATH",
		Short: "As a registrar: bring people's keys that were kept elsewhere into the archive",
		Long: `Reads a folder, a ZIP archive or one file of private encryption keys that another system kept, checks each against its
certificate, and sends it sealed to the archive, as its owner's. Their owner is the person to whom the certificate's mail
address belongs in the directory. The keys are in memory only, and nothing is written but the report.

Taken are PKCS #12 files (.p12, .pfx), old and new, and what "certutil -getkey" of Windows' certificate authority writes;
those need the key of one of that authority's recovery agents, as a PKCS #12 file. Certificates (.cer, .crt, .pem, .p7b)
among the files are used for keys that come without. Not taken are keys whose certificate allows signing.

Passwords come from a list (--passwords): a CSV file whose first line is "file,password" or "file,password,person". In the
third column stands nothing, or the id of the person whose key it is, or "departed" for somebody who is in the directory no
longer, or both. Files that are not in the list have the password in --p12-password-file, or it is asked for.

Begin with --dry-run: it reads and checks everything, says whose each key would be, and sends no key. If the import stops,
run the same command again: what is archived is not sent twice. docs/import.md has the whole procedure.`,
		Example: `  sealpost-agent import keys.zip --login rita --passwords passwords.csv --dry-run
  sealpost-agent import blobs/ --login rita --agent-key kra.pfx --agent-password-file kra.password --report report.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.importKeys(cmd.Context(), args[0], o) },
	}
	f := c.Flags()
	f.StringVar(&o.list, "passwords", "", "list of the files' passwords, CSV")
	f.StringVar(&o.p12Password, "p12-password-file", "", "file with the password of the files that are not in the list")
	f.StringArrayVar(&o.agents, "agent-key", nil, "PKCS #12 file with the key of an old recovery agent; may be given several times")
	f.StringVar(&o.agentPassword, "agent-password-file", "", "file with the password of those")
	f.BoolVar(&o.departed, "departed", false, "people whose address nobody in the directory has have left: archive their keys, too")
	f.BoolVar(&o.dryRun, "dry-run", false, "send no key, but say what would become of each")
	f.BoolVar(&o.allRow, "all", false, "list everything, not only what needs attention")
	f.StringVar(&o.report, "report", "", "also write the report into this file, as JSON")
	return c
}

func (s *session) importKeys(ctx context.Context, path string, o importFlags) error {
	opt := foreign.Options{Departed: o.departed, DryRun: o.dryRun, Progress: func(line string) { s.progress("", line) }}
	var err error
	if opt.Client, err = s.importClient(&opt); err != nil {
		return err
	}
	defer opt.Client.Close()
	if o.list != "" {
		data, err := readLimited(o.list, foreign.MaxList)
		if err != nil {
			return err
		}
		if opt.List, err = foreign.ParseList(data); err != nil {
			return err
		}
	}
	if opt.Agents, err = s.agentKeys(o); err != nil {
		return err
	}
	opt.Password = func() (string, error) { return s.secret("password of the PKCS #12 files", o.p12Password, "") }
	source, err := foreign.Open(path)
	if err != nil {
		return err
	}
	defer source.Close()
	report, err := foreign.Import(ctx, source, opt)
	if reported := s.reportImport(report, o); err == nil {
		err = reported
	}
	if err == nil && !report.Good() {
		err = errImport
	}
	return err
}

// importClient connects as the registrar, and fills in the roots that the exchange certificate must chain to.
func (s *session) importClient(opt *foreign.Options) (*client.Client, error) {
	settings, credentials, err := s.told()
	if err != nil {
		return nil, err
	}
	if !isPerson(credentials) {
		return nil, errNoRegistrar
	}
	anchors, err := settings.Anchors()
	if err != nil {
		return nil, err
	}
	opt.Anchors = x509.NewCertPool()
	for _, c := range anchors {
		opt.Anchors.AddCert(c)
	}
	if credentials.Roots, err = settings.TLSRoots(); err != nil {
		return nil, err
	}
	credentials.BaseURL = settings.Server
	credentials.UserAgent = userAgent()
	return client.New(credentials)
}

// agentKeys reads the recovery agents' keys.
func (s *session) agentKeys(o importFlags) (out []cms.Recipient, err error) {
	var password string
	for i, file := range o.agents {
		data, err := readLimited(file, foreign.MaxFile)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			if password, err = s.secret("password of "+file, o.agentPassword, ""); err != nil {
				return nil, err
			}
		}
		entries, _, err := pkcs12.DecodeForeign(data, password)
		if f := fault.Of(err); f != nil {
			return nil, errAgentKey.Withf("%s: %s", file, f.Detail)
		} else if err != nil {
			return nil, errAgentKey.Withf("%s cannot be read.", file).Because(err)
		}
		n := len(out)
		for _, e := range entries {
			if key, ok := e.Key.(cms.Decrypter); ok && e.Certificate != nil {
				out = append(out, cms.Recipient{Certificate: e.Certificate, Key: key})
			}
		}
		if len(out) == n {
			return nil, errAgentKey.Withf("There is no key with its certificate in %s.", file)
		}
	}
	return out, nil
}

func (s *session) reportImport(report *foreign.Report, o importFlags) error {
	if o.report != "" {
		data, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		if err := disk.Write(o.report, append(data, '\n'), 0o600); err != nil {
			return err
		}
	}
	return s.write(report, func(w io.Writer) { printImport(w, report, o.allRow || o.dryRun) })
}

// printImport writes a table: everything, or what needs attention.
func printImport(w io.Writer, r *foreign.Report, all bool) {
	fmt.Fprintln(w, "RESULT\tFILE\tPERSON\tCERTIFICATE\tUNTIL\tWHY")
	for _, i := range r.Items {
		if !all && (i.State == foreign.Archived || i.State == foreign.ArchivedBefore || i.State == foreign.CertificateAdded) {
			continue
		}
		who, certificate, until := "", "", ""
		if i.Person != nil {
			who = strings.TrimSpace(i.Name + " <" + i.Mail + ">")
		}
		if c := i.Certificate; c != nil {
			certificate, until = c.Subject, day(c.NotAfter)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", i.State, short(i.File), short(who), short(certificate), until, plain(i.Detail))
	}
	for _, state := range []foreign.State{foreign.Archived, foreign.CertificateAdded, foreign.ArchivedBefore, foreign.Ready, foreign.Duplicate,
		foreign.Skipped, foreign.Refused, foreign.Untried} {
		if n := r.Counts[state]; n > 0 {
			fmt.Fprintf(w, "%d %s\n", n, state)
		}
	}
	if r.DryRun {
		fmt.Fprintln(w, "This was a dry run: no key was sent.")
	}
}

// short keeps a cell of a table readable.
func short(text string) string {
	const most = 60
	if text = plain(text); utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
