package audit_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pgtest"
)

// People read what became of their certificates and requests, and nothing about anybody else, nor of recovery cases.
func TestOwnEvents(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	l := newLog(t, db)
	event := func(kind string, person uuid.UUID) audit.Event { return audit.Event{Kind: kind, Person: person} }
	_, err := l.Record(t.Context(), audit.System("test"), event("certificate.issued", alice), event("certificate.issued", bob), event("archive.case-requested", alice),
		event("enrolment.rejected", alice), event("portal.viewed", alice), event("certificate.revoked", alice), event("certificate.issued", uuid.Nil))
	if err != nil {
		t.Fatal(err)
	}
	kinds := func(list []audit.Entry) (out []string) {
		for _, e := range list {
			out = append(out, e.Kind)
		}
		return out
	}
	all, err := l.Own(t.Context(), audit.Actor{Person: alice}, 0, 10)
	if want := []string{"certificate.revoked", "enrolment.rejected", "certificate.issued"}; err != nil || !slices.Equal(kinds(all), want) {
		t.Fatalf("%v %v", kinds(all), err)
	}
	rest, err := l.Own(t.Context(), audit.Actor{Person: alice}, all[0].ID, 1)
	if want := []string{"enrolment.rejected"}; err != nil || !slices.Equal(kinds(rest), want) {
		t.Errorf("%v %v", kinds(rest), err)
	}
	if none, err := l.Own(t.Context(), audit.System("test"), 0, 10); err != nil || len(none) != 0 {
		t.Errorf("nobody: %v %v", kinds(none), err)
	}
}
