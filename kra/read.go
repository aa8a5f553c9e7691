package kra

import (
	"bytes"
	"crypto/x509"
	"io"
	"io/fs"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/disk"
)

// ReadPlan reads the plan in a ceremony's folder, and checks nothing but its form.
func ReadPlan(dir string) (*record.Plan, error) { return folder{dir}.plan() }

// ReadRoster reads a roster file and checks nothing but its form.
func ReadRoster(path string) (*record.Roster, error) {
	return read(path, maxRoster, record.ParseRoster)
}

// ReadAgentCard reads an agent's card. Whether its certificates can be trusted is another question.
func ReadAgentCard(path string) (*AgentCard, error) { return read(path, maxCard, ParseAgentCard) }

// ReadRecipientCard reads a recipient's card.
func ReadRecipientCard(path string) (*RecipientCard, error) {
	return read(path, maxCard, ParseRecipientCard)
}

// ReadCertificates reads a file of certificates, such as the root's.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	return read(path, maxCard, ParseCertificates)
}

// ReadCheckpoints reads the checkpoints of an audit log in a file where such are kept: an officer's log.txt, a server's file, a
// system log. Nothing of them is verified.
func ReadCheckpoints(r io.Reader) ([][]byte, error) { return proof.ReadKept(r) }

// Read finds out what a file is and reads it: it returns a *record.Roster, *record.Plan, *AgentCard or *RecipientCard.
func Read(path string) (any, error) {
	return read(path, maxRoster, func(b []byte) (any, error) {
		switch {
		case bytes.HasPrefix(b, []byte("-----BEGIN "+agentBlock)):
			return ParseAgentCard(b)
		case bytes.HasPrefix(b, []byte("-----BEGIN "+recipientBlock)):
			return ParseRecipientCard(b)
		case kindOf(b) == kindPlan:
			return record.ParsePlan(b)
		case kindOf(b) == kindRoster:
			return record.ParseRoster(b)
		}
		return nil, ErrFile
	})
}

// read reads a file, of which every fault names it.
func read[T any](path string, most int64, parse func([]byte) (T, error)) (T, error) {
	var none T
	b, err := disk.Read(path, most)
	if err != nil {
		return none, err
	}
	if b == nil {
		return none, disk.ErrDisk.Withf("There is no file %s.", path).Because(fs.ErrNotExist)
	}
	v, err := parse(b)
	if err != nil {
		return none, inFile(path, err)
	}
	return v, nil
}
