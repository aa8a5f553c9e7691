package archive

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
)

// What those need who tell people of cases. It is for components of the server, which decide who may know.

// Recipients returns who may collect, by delivery.
func (k *Case) Recipients() []uuid.UUID { return slices.Clone(k.recipients) }

// SilenceEnded returns the cases whose subjects could not be told from the start and may be told now, oldest first.
func (c *Cases) SilenceEnded(ctx context.Context) ([]uuid.UUID, error) {
	now := c.Now()
	var out []uuid.UUID
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectSilenceEnded(ctx, tx, now)
		return err
	})
	return out, err
}

// HeaderOf returns the header of the newest of a subject's records in a case: under what name and address the person's
// key was archived, for one who is in no directory any more. It returns ErrUnknownCase for somebody who is no subject.
func (c *Cases) HeaderOf(ctx context.Context, k *Case, subject uuid.UUID) (record.Header, error) {
	first, count := k.positionsOf(subject)
	var capsules [][]byte
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		capsules, err = selectCaseCapsules(ctx, tx, k.ID, first, count)
		return err
	})
	if err != nil {
		return record.Header{}, err
	}
	var newest record.Header
	for _, raw := range capsules {
		capsule, err := record.ParseCapsule(raw)
		if err != nil {
			return record.Header{}, err
		}
		if h := capsule.Header; h.Person == subject && h.Time.After(newest.Time) {
			newest = h
		}
	}
	if newest.Person != subject {
		return record.Header{}, ErrUnknownCase
	}
	return newest, nil
}

// positionsOf returns where a subject's records begin in the case, and how many they are.
func (k *Case) positionsOf(subject uuid.UUID) (first, count int) {
	for _, d := range k.Deliveries {
		for _, s := range d.Subjects {
			if s.Person == subject {
				return first, len(s.Records)
			}
			first += len(s.Records)
		}
	}
	return first, 0
}
