package main

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/pkcs12"
)

type openFlags struct {
	out, password, certificates, identity, identityPassword string
	gpgsm, asJSON                                           bool
}

func (t *tool) openCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "open CASE",
		Short: "As the recipient of a case: open its keys and write them as files for mail programs",
		Long: `Verifies a case and what the officers answered, names those whose answer is wrong, opens the keys, checks each against
its record, and writes one PKCS #12 file for each person, with all their keys, the newest marked. The files are protected
by a password each, which is made and written beside it, or by yours. The keys are written nowhere else.

Of an answer that is wrong, only you can tell that it is. With --identity, a PKCS #12 file with your own signature
certificate, a signed report on it is put into the folder.`,
		Example: `  sealpost-kra open /media/stick/case --out recovered`,
		Args:    cobra.ExactArgs(1),
	}
	var p openFlags
	f := c.Flags()
	f.StringVar(&p.out, "out", "", "folder for the files; with several people, each gets one in it")
	f.StringVar(&p.password, "files-password-file", "", "file whose first line protects all files, in place of a password for each")
	f.StringVar(&p.certificates, "certificates", "", "certificates of the keys and their issuers (PEM), in place of those in the folder")
	f.BoolVar(&p.gpgsm, "gpgsm", false, "write gpgsm/NN.p12 too, which gpgsm 2.2 reads (always done for one person alone)")
	f.StringVar(&p.identity, "identity", "", "PKCS #12 file with your signature certificate, to report answers that are wrong")
	f.StringVar(&p.identityPassword, "identity-password-file", "", "file with the password of --identity")
	f.BoolVar(&p.asJSON, "json", false, "print JSON")
	_ = c.MarkFlagRequired("out") // fails only for a flag that is not there
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := t.unlocked(cmd)
		if err != nil {
			return err
		}
		at, err := t.find(cmd, args[0])
		if err != nil {
			return err
		}
		if err := at.collect(cmd, o); err != nil {
			return err
		}
		op, err := o.Receive(at.dir, newProgress(cmd.ErrOrStderr(), "Verifying records").report)
		if err != nil {
			return err
		}
		defer op.Wipe()
		v := &openedView{Case: op.Case.ID.String(), Officers: op.Good, Wrong: []wrongView{}, People: []personView{}}
		if err := p.report(v, op, delivery.Open(at.dir)); err != nil {
			return err
		}
		err = errors.Join(p.deliver(cmd, v, op, delivery.Open(at.dir)), at.dispute(cmd, v.Wrong))
		if err == nil {
			err = at.close(cmd, v)
		}
		if p.asJSON {
			return errors.Join(err, printJSON(cmd.OutOrStdout(), v))
		}
		v.print(cmd.OutOrStdout())
		return err
	}
	return c
}

type openedView struct {
	Case     string       `json:"case"`
	Officers []uint16     `json:"officers"`
	Wrong    []wrongView  `json:"wrong"`
	People   []personView `json:"people"`
}

type wrongView struct {
	Agent   uint16 `json:"agent"`
	Name    string `json:"name,omitempty"`
	File    string `json:"file"`
	Fault   string `json:"fault"`
	Dispute string `json:"dispute,omitempty"` // file
}

type personView struct {
	Name   string          `json:"name"`
	Mail   string          `json:"mail"`
	Files  *delivery.Files `json:"files,omitempty"`
	Faults []string        `json:"faults,omitempty"`
}

// report names the answers that are wrong, and disputes them where it can.
func (p *openFlags) report(v *openedView, op *delivery.Opening, f delivery.Folder) error {
	var cert *x509.Certificate
	var key crypto.Signer
	if p.identity != "" {
		var err error
		if cert, key, err = readIdentity(p.identity, p.identityPassword); err != nil {
			return err
		}
	}
	for _, w := range op.Wrong {
		y := wrongView{Agent: w.Agent, Name: w.Name, File: w.File, Fault: describeFault(w.Err).Detail}
		if key != nil && w.Disputable() {
			d, err := op.Dispute(w, cert, key, time.Now())
			if err != nil {
				return err
			}
			if y.Dispute, err = f.PutDispute(d); err != nil {
				return err
			}
		}
		v.Wrong = append(v.Wrong, y)
	}
	return nil
}

// readIdentity finds the signature certificate and its key in a PKCS #12 file.
func readIdentity(path, passwordFile string) (*x509.Certificate, crypto.Signer, error) {
	if passwordFile == "" {
		return nil, nil, errors.New("give the password of --identity with --identity-password-file")
	}
	password, err := keys.ReadPassphrase(passwordFile)
	if err != nil {
		return nil, nil, err
	}
	defer clear(password)
	file, err := disk.Read(path, pkcs12.MaxSize)
	if err != nil {
		return nil, nil, err
	}
	entries, _, err := pkcs12.Decode(file, string(password))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, e := range entries {
		key, ok := e.Key.(crypto.Signer)
		if ok && e.Certificate != nil && e.Certificate.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0 {
			return e.Certificate, key, nil
		}
	}
	return nil, nil, fmt.Errorf("%s has no certificate to sign with", path)
}

// deliver writes the files.
func (p *openFlags) deliver(c *cobra.Command, v *openedView, op *delivery.Opening, f delivery.Folder) error {
	certs, err := p.readCertificates(f)
	if err != nil {
		return err
	}
	opt := delivery.FileOptions{Now: time.Now()}
	if p.password != "" {
		password, err := keys.ReadPassphrase(p.password)
		if err != nil {
			return err
		}
		opt.Password = string(password)
	}
	subjects := op.Case.Deliveries[op.Delivery].Subjects
	opt.GPGSM = p.gpgsm || len(subjects) == 1
	bar, done := newProgress(c.ErrOrStderr(), "Writing people's keys"), 0
	people := make([]personView, len(subjects))
	err = op.Deliver(c.Context(), p.out, certs, opt, func(d delivery.Delivered) {
		y := personView{Name: d.Name, Mail: d.Mail, Files: d.Files}
		for _, err := range d.Faults {
			y.Faults = append(y.Faults, describeFault(err).Detail)
		}
		people[d.Number] = y
		done++
		bar.report(done, len(subjects))
	})
	v.People = slices.DeleteFunc(people, func(y personView) bool { return y.Files == nil && y.Faults == nil })
	return err
}

func (p *openFlags) readCertificates(f delivery.Folder) (delivery.Certificates, error) {
	if p.certificates == "" {
		return f.Certificates()
	}
	if _, err := os.Stat(p.certificates); err != nil {
		return delivery.Certificates{}, err
	}
	return delivery.ReadCertificates(p.certificates)
}

func (v *openedView) print(w io.Writer) {
	for _, x := range v.Wrong {
		fmt.Fprintf(w, "WRONG ANSWER in %s: %s\n", x.File, x.Fault)
		switch {
		case x.Dispute != "":
			fmt.Fprintf(w, "  Your signed report is in %s. Bring it to whoever gave you the folder.\n", x.Dispute)
		case x.Agent != 0:
			fmt.Fprintln(w, "  Tell whoever gave you the folder; with --identity a signed report is made.")
		}
	}
	n := 0
	for _, p := range v.People {
		for _, f := range p.Faults {
			fmt.Fprintf(w, "WRONG KEY: %s\n", f)
		}
		if p.Files == nil {
			continue
		}
		n += p.Files.Keys
		fmt.Fprintf(w, "%s <%s>: %d keys in %s", p.Name, p.Mail, p.Files.Keys, p.Files.P12)
		if p.Files.Password != "" {
			fmt.Fprintf(w, ", password in %s", p.Files.Password)
		}
		fmt.Fprintln(w)
		if p.Files.Uncertified > 0 {
			fmt.Fprintf(w, "  Of %d of them the certificate is not known: mail programs may not find them. Get the certificates, and use --certificates.\n", p.Files.Uncertified)
		}
	}
	fmt.Fprintf(w, "%d keys of %d people were opened.\n", n, len(v.People))
}
