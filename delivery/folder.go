package delivery

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/fault"
)

// Files in a case's folder. What an answer or dispute is and whose, it says itself; the names are for people.
const (
	CaseFile          = "case.bin"
	RosterFile        = "roster.bin"
	IntermediatesFile = "intermediates.pem"
	CapsulesFile      = "capsules.bin"
	CertificatesFile  = "certificates.pem"
	answerSuffix      = ".answer"
	sealedSuffix      = ".sealed"
	disputeSuffix     = ".dispute"
)

// Limits of what is read from a folder that others write to, in bytes; the formats have the same.
const (
	maxCase         = 1 << 25
	maxRoster       = 1 << 26
	maxAnswer       = 1 << 24
	maxCapsule      = 1 << 12
	maxInnerRecord  = 1 << 18
	maxCertificates = 1 << 28
	maxAnswers      = 1000
)

// AnswerFile returns the name of the file with one agent's answer.
func AnswerFile(agent uint16) string { return fmt.Sprintf("%02d-agent%s", agent, answerSuffix) }

// DisputeFile returns the name of the file with the dispute of one agent's answer.
func DisputeFile(agent uint16) string { return fmt.Sprintf("%02d-agent%s", agent, disputeSuffix) }

// RecordsFile returns the name of the file with the inner records of one delivery.
func RecordsFile(delivery int) string { return fmt.Sprintf("delivery-%d.records", delivery) }

// Folder is a case's folder. Whoever can write to it can disturb the case, but not unseen. It is for one goroutine.
type Folder struct{ dir string }

// Open returns the folder at a path. It reads nothing yet.
func Open(dir string) Folder { return Folder{dir} }

// IsFolder reports whether there is a case's folder at the path.
func IsFolder(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, CaseFile))
	return err == nil && info.Mode().IsRegular()
}

// Create makes a case's folder, or completes one: a case, its roster and the issuing certificates. Files of another case
// are left alone, and refused.
func Create(dir string, c *record.SignedCase, r *record.Roster, intermediates []*x509.Certificate) (Folder, error) {
	f := Folder{dir}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return f, disk.Cannot(err, "The folder %s cannot be made.", dir)
	}
	if err := f.publish(IntermediatesFile, encodeCertificates(intermediates)); err != nil {
		return f, err
	}
	if err := f.publish(RosterFile, r.Bytes()); err != nil {
		return f, err
	}
	return f, f.publish(CaseFile, c.Bytes()) // last: a folder with a case has the rest
}

// Path returns the path of a file of the folder.
func (f Folder) Path(name string) string { return filepath.Join(f.dir, name) }

// Case reads the case. Its signature has not been verified.
func (f Folder) Case() (*record.SignedCase, error) {
	return readParsed(f, CaseFile, maxCase, record.ParseCase)
}

// Roster reads the roster, which is not to be trusted before its hash has been compared with a pin.
func (f Folder) Roster() (*record.Roster, error) {
	return readParsed(f, RosterFile, maxRoster, record.ParseRoster)
}

// Intermediates reads the issuing certificates; none if there is no such file.
func (f Folder) Intermediates() ([]*x509.Certificate, error) {
	return readCertificates(f.Path(IntermediatesFile))
}

// Certificates reads the certificates of the case's keys; none if there is no such file.
func (f Folder) Certificates() (Certificates, error) {
	certs, err := readCertificates(f.Path(CertificatesFile))
	return NewCertificates(certs), err
}

// ReadCertificates reads a file of certificates (PEM), in any order.
func ReadCertificates(path string) (Certificates, error) {
	certs, err := readCertificates(path)
	return NewCertificates(certs), err
}

// PutCertificates writes the certificates of the case's keys, and their issuers'.
func (f Folder) PutCertificates(certs []*x509.Certificate) error {
	return disk.Write(f.Path(CertificatesFile), encodeCertificates(certs), 0o644)
}

// Capsules reads the capsules that are there, in the order of the case. Their proofs have not been verified.
func (f Folder) Capsules() iter.Seq2[*record.Capsule, error] {
	return FramesOf(f.Path(CapsulesFile), maxCapsule, record.ParseCapsule)
}

// AddCapsules adds the next capsules of the case.
func (f Folder) AddCapsules(capsules ...[]byte) error {
	return AppendFrames(f.Path(CapsulesFile), capsules, maxCapsule)
}

// Records reads the inner records of a delivery that are there, in the order of the case.
func (f Folder) Records(delivery int) iter.Seq2[*record.InnerRecord, error] {
	return FramesOf(f.Path(RecordsFile(delivery)), maxInnerRecord, record.ParseInnerRecord)
}

// AddRecords adds the next inner records of a delivery.
func (f Folder) AddRecords(delivery int, records ...[]byte) error {
	return AppendFrames(f.Path(RecordsFile(delivery)), records, maxInnerRecord)
}

// Answer is one agent's answer as it lies in the folder. Nothing about it has been verified.
type Answer struct {
	*record.Answer
	File string // its path
	Err  error  // why it cannot be read; Answer is nil then
}

// Answers reads all answers, in the order of their agents' ids. One that cannot be read does not hide the others.
func (f Folder) Answers() ([]Answer, error) {
	return f.answers(answerSuffix, func(name string) (*record.Answer, error) { return readParsed(f, name, maxAnswer, record.ParseAnswer) })
}

// answersTo reads the answers as far as they are to one delivery, also those that hold nothing else.
func (f Folder) answersTo(delivery int) ([]Answer, error) {
	whole, err := f.Answers()
	if err != nil {
		return nil, err
	}
	parts, err := f.answers(fmt.Sprintf("-%d%s", delivery, sealedSuffix), func(name string) (*record.Answer, error) { return f.readSealed(name, delivery) })
	return sorted(append(whole, parts...)), err
}

func (f Folder) answers(suffix string, read func(name string) (*record.Answer, error)) ([]Answer, error) {
	names, err := f.list(suffix)
	if err != nil {
		return nil, err
	}
	var out []Answer
	for _, name := range names {
		a := Answer{File: f.Path(name)}
		a.Answer, a.Err = read(name)
		out = append(out, a)
	}
	return sorted(out), nil
}

// list returns the names of the files that end in suffix.
func (f Folder) list(suffix string) (out []string, err error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, ErrFolder.Withf("The folder %s cannot be read.", f.dir).Because(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), suffix) || record.Line(e.Name(), 255) != e.Name() {
			continue // a name that would mislead whoever reads it is none of ours
		}
		if len(out) == maxAnswers {
			return nil, ErrFolder.Withf("There are more than %d files *%s in %s.", maxAnswers, suffix, f.dir)
		}
		out = append(out, e.Name())
	}
	return out, nil
}

func sorted(list []Answer) []Answer {
	slices.SortStableFunc(list, func(a, b Answer) int { return int(a.agent()) - int(b.agent()) })
	return list
}

// readSealed reads an approval with what it sealed to one delivery; the others are empty.
func (f Folder) readSealed(name string, delivery int) (*record.Answer, error) {
	var parts [][]byte
	for b, err := range FramesOf(f.Path(name), maxAnswer, func(b []byte) ([]byte, error) { return b, nil }) {
		if err != nil {
			return nil, err
		}
		if parts = append(parts, b); len(parts) > 2 {
			break
		}
	}
	if len(parts) != 2 {
		return nil, ErrFolder.Withf("%s does not hold an approval and what it sealed.", f.Path(name))
	}
	approval, err := record.ParseApproval(parts[0])
	if err != nil {
		return nil, inFile(f.Path(name), err)
	}
	if delivery >= len(approval.Sealings) {
		return nil, ErrFolder.Withf("%s: The approval has no such delivery.", f.Path(name))
	}
	a := &record.Answer{Approval: approval, Sealed: make([][]byte, len(approval.Sealings))}
	a.Sealed[delivery] = parts[1]
	return a, nil
}

// PutSealed writes an agent's approval with what it sealed to one delivery: all that the server shows to a recipient of a
// case with several. It never replaces another.
func (f Folder) PutSealed(delivery int, a *record.SignedApproval, sealed []byte) (string, error) {
	name := fmt.Sprintf("%02d-agent-%d%s", a.Agent, delivery, sealedSuffix)
	return f.Path(name), f.publish(name, AppendFrame(AppendFrame(nil, a.Bytes()), sealed))
}

func (a Answer) agent() uint16 {
	if a.Answer == nil {
		return 0
	}
	return a.Approval.Agent
}

// PutAnswer writes an agent's answer and returns where. It never replaces another.
func (f Folder) PutAnswer(a *record.Answer) (string, error) {
	b, err := a.Encode()
	if err != nil {
		return "", err
	}
	name := AnswerFile(a.Approval.Agent)
	return f.Path(name), f.publish(name, b)
}

// PutDispute writes a dispute and returns where. A newer one of the same agent replaces an older.
func (f Folder) PutDispute(d *record.SignedDispute) (string, error) {
	path := f.Path(DisputeFile(d.Agent))
	return path, disk.Write(path, d.Bytes(), 0o644)
}

// publish writes a file for others to see. It leaves alone what is there already, and never replaces anything else.
func (f Folder) publish(name string, data []byte) error {
	err := disk.Publish(f.Path(name), data, maxRoster)
	if errors.Is(err, fs.ErrExist) {
		return ErrFolder.Withf("There is a file %s already, with other content. It was not touched.", f.Path(name)).Because(err)
	}
	return err
}

func readParsed[T any](f Folder, name string, most int64, parse func([]byte) (T, error)) (T, error) {
	var none T
	b, err := disk.Read(f.Path(name), most)
	if err != nil {
		return none, err
	}
	if b == nil {
		return none, ErrFolder.Withf("There is no %s in %s. Is it the case's folder?", name, f.dir).Because(fs.ErrNotExist)
	}
	v, err := parse(b)
	return v, inFile(f.Path(name), err)
}

// inFile puts the file's name before a fault's sentence, so that the reader knows where to look. Kind and code stay.
func inFile(path string, err error) error {
	f := fault.Of(err)
	if f == nil {
		return err
	}
	return f.Withf("%s: %s", path, f.Detail).Because(err)
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	text, err := disk.Read(path, maxCertificates)
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return nil, ErrCertificates.Withf("%s: Block %d is no certificate that can be read.", path, len(out)+1).Because(err)
		}
		out = append(out, c)
	}
	if len(bytes.TrimSpace(text)) > 0 {
		return nil, ErrCertificates.Withf("%s: There is something else than certificates (PEM) in it.", path)
	}
	return out, nil
}

func encodeCertificates(certs []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}
