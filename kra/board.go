package kra

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"slices"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/disk"
)

// Synced is what an exchange with the server changed.
type Synced struct {
	Plan     record.Hash
	Sent     int // messages that the server did not have
	Received int // messages that the folder did not have
	Round    string
	Missing  []int // whose messages the server still waits for
}

// Sync exchanges a ceremony's folder with the server's notice board, for officers who have no folder in common: what either
// has and the other lacks. An empty folder is begun with the plan of that hash; otherwise the hash may be zero. What the
// server sends is checked as what others put into a folder is, before anything of it is written, and is believed no
// more: the plan's hash is to be compared by voice all the same.
func (s Online) Sync(ctx context.Context, dir string, plan record.Hash) (Synced, error) {
	f := folder{dir}
	board, err := s.board(ctx, f, plan)
	if err != nil {
		return Synced{}, err
	}
	p, err := f.plan()
	if err != nil {
		return Synced{}, err
	}
	out := Synced{Plan: p.Hash()}
	here, err := f.messages()
	if err != nil {
		return out, err
	}
	if out.Received, err = f.take(p, here, board.Messages); err != nil {
		return out, err
	}
	for _, m := range here {
		if slices.ContainsFunc(board.Messages, func(b []byte) bool { return bytes.Equal(b, m.bytes) }) {
			continue
		}
		if board, err = s.SendCeremonyMessage(ctx, p.Hash().String(), m.bytes); err != nil {
			return out, inFile(m.path, err)
		}
		out.Sent++
	}
	out.Round, out.Missing = board.Round, board.Missing
	return out, nil
}

// board returns the ceremony as the server shows it, after putting the folder's plan there, or the server's into an empty
// folder.
func (s Online) board(ctx context.Context, f folder, hash record.Hash) (api.Ceremony, error) {
	raw, err := disk.Read(f.path(PlanFile), maxPlan)
	if err != nil {
		return api.Ceremony{}, err
	}
	if raw == nil {
		return s.beginFrom(ctx, f, hash)
	}
	p, err := f.plan()
	if err != nil {
		return api.Ceremony{}, err
	}
	if !hash.IsZero() && p.Hash() != hash {
		return api.Ceremony{}, ErrPlan.Withf("%s has another hash than the plan that was asked for.", f.path(PlanFile))
	}
	between, err := f.intermediates()
	if err != nil {
		return api.Ceremony{}, err
	}
	body := api.CeremonyPlan{Plan: p.Bytes()}
	for _, c := range between {
		body.Intermediates = append(body.Intermediates, c.Raw)
	}
	return s.OpenCeremony(ctx, body)
}

// beginFrom writes the server's plan with that hash into an empty folder.
func (s Online) beginFrom(ctx context.Context, f folder, hash record.Hash) (api.Ceremony, error) {
	if hash.IsZero() {
		return api.Ceremony{}, ErrFolder.Withf("There is no %s in %s. Say which plan to fetch, by its hash.", PlanFile, f.dir)
	}
	c, err := s.Ceremony(ctx, hash.String())
	if err != nil {
		return c, err
	}
	p, err := record.ParsePlan(c.Plan)
	if err != nil {
		return c, err
	}
	if p.Hash() != hash {
		return c, ErrServer.Withf("The server sent another plan than the one that was asked for.")
	}
	between, err := certificates(c.Intermediates)
	if err != nil {
		return c, err
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return c, ErrFolder.Withf("The folder %s cannot be made.", f.dir).Because(err)
	}
	if p.IsReshare() {
		if err := disk.Write(f.path(PreviousFile), c.Previous, 0o644); err != nil {
			return c, err
		}
		if _, err := f.previous(p); err != nil {
			return c, err
		}
	}
	if err := disk.Write(f.path(IntermediatesFile), encodeCertificates(between), 0o644); err != nil {
		return c, err
	}
	return c, disk.Write(f.path(PlanFile), p.Bytes(), 0o644)
}

// take writes the messages that are not here, once they have all been checked together with those that are.
func (f folder) take(p *record.Plan, here []message, there [][]byte) (received int, err error) {
	view, _, err := f.begin(p)
	if err != nil {
		return 0, err
	}
	var fresh [][]byte
	for _, m := range there {
		if slices.ContainsFunc(here, func(h message) bool { return bytes.Equal(h.bytes, m) }) {
			continue
		}
		if err := view.Add(m); err != nil {
			return 0, ErrServer.Withf("A message on the server is wrong: %s", sentence(err)).Because(err)
		}
		fresh = append(fresh, m)
	}
	for _, m := range fresh {
		id, round := senderOf(m)
		if err := f.publish(MessageFile(id, round), m); err != nil {
			return received, err
		}
		received++
	}
	return received, nil
}

// senderOf returns who sent a message, which has been checked, and in which round: docs/archive-format.md, 4.2 to 4.5.
func senderOf(m []byte) (id uint16, round record.Round) {
	const kindCommit, at = 6, 2 + 32
	return binary.BigEndian.Uint16(m[at:]), record.Round(kindOf(m)-kindCommit) + record.RoundCommit
}
