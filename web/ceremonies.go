package web

import (
	"context"
	"net/http"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

func (s *Server) ceremonyOperations() {
	const about = " Ceremonies make the archive's key, or pass it on to other officers: docs/runbooks/ceremony.md."
	unknown := []*fault.Error{archive.ErrBoard, archive.ErrUnknownCeremony, archive.ErrNoRoster}
	register(s, operation{id: "openCeremony", method: http.MethodPost, path: "/ceremonies", tag: tagCeremonies, who: known, large: true, status: http.StatusCreated,
		summary: "Begin a ceremony by way of the server", about: "For officers and operators. Doing it again changes nothing." + about,
		faults: []*fault.Error{audit.ErrRoleRequired, record.ErrFormat, record.ErrCeremony, archive.ErrCeremonies, archive.ErrNoRoster},
		body:   api.CeremonyPlan{Plan: exampleDER, Intermediates: [][]byte{exampleDER}}, answer: exampleCeremony}, s.openCeremony)
	register(s, operation{id: "listCeremonies", method: http.MethodGet, path: "/ceremonies", tag: tagCeremonies, who: known,
		summary: "The ceremonies of the last month, the newest first", about: "For officers, operators and auditors." + about,
		faults: unknown, answer: api.Page[api.Ceremony]{Items: []api.Ceremony{exampleListedCeremony}}}, s.listCeremonies)
	register(s, operation{id: "getCeremony", method: http.MethodGet, path: "/ceremonies/{hash}", tag: tagCeremonies, who: known,
		summary: "A ceremony with all messages so far", faults: unknown, answer: exampleCeremony}, s.getCeremony)
	register(s, operation{id: "sendCeremonyMessage", method: http.MethodPost, path: "/ceremonies/{hash}/messages", tag: tagCeremonies, who: known, large: true,
		summary: "Say something to all in a ceremony", about: "The message's signature says whose it is. What does not fit is refused, and who sent it named. Sending it again changes nothing.",
		faults: append([]*fault.Error{record.ErrFormat, record.ErrCeremony, record.ErrDealer, record.ErrAgent}, unknown...),
		body:   api.CeremonyMessage{Message: exampleDER}, answer: exampleCeremony}, s.sendCeremonyMessage)
}

// board returns where ceremonies are held, or ErrNoArchive.
func (s *Server) board() (*archive.Board, error) {
	if s.Board == nil {
		return nil, ErrNoArchive
	}
	return s.Board, nil
}

func (s *Server) openCeremony(ctx context.Context, by signin.Caller, in *struct{ Body api.CeremonyPlan }) (*answer[api.Ceremony], error) {
	return s.wholeCeremony(func(b *archive.Board) (*archive.Ceremony, error) {
		return b.OpenCeremony(ctx, by.Actor, in.Body.Plan, in.Body.Intermediates)
	})
}

func (s *Server) listCeremonies(ctx context.Context, by signin.Caller, _ *struct{}) (*answer[api.Page[api.Ceremony]], error) {
	board, err := s.board()
	if err != nil {
		return nil, err
	}
	found, err := board.Ceremonies(ctx, by.Actor)
	if err != nil {
		return nil, err
	}
	out := &answer[api.Page[api.Ceremony]]{Body: api.Page[api.Ceremony]{Items: make([]api.Ceremony, len(found))}}
	for i, c := range found {
		out.Body.Items[i] = ceremonyOf(c)
	}
	return out, nil
}

// CeremonyPath names a ceremony. (It is exported for huma.)
type CeremonyPath struct {
	Hash string `path:"hash" minLength:"64" maxLength:"64" doc:"The plan's hash, lower-case hexadecimal."`
}

func (p CeremonyPath) hash() (record.Hash, error) {
	h, err := record.ParseHash(p.Hash)
	if err != nil {
		return h, archive.ErrUnknownCeremony
	}
	return h, nil
}

func (s *Server) getCeremony(ctx context.Context, by signin.Caller, in *CeremonyPath) (*answer[api.Ceremony], error) {
	return s.wholeCeremony(func(b *archive.Board) (*archive.Ceremony, error) {
		h, err := in.hash()
		if err != nil {
			return nil, err
		}
		return b.Ceremony(ctx, by.Actor, h)
	})
}

type ceremonyMessageInput struct {
	CeremonyPath
	Body api.CeremonyMessage
}

func (s *Server) sendCeremonyMessage(ctx context.Context, by signin.Caller, in *ceremonyMessageInput) (*answer[api.Ceremony], error) {
	return s.wholeCeremony(func(b *archive.Board) (*archive.Ceremony, error) {
		h, err := in.hash()
		if err != nil {
			return nil, err
		}
		return b.Send(ctx, by.Actor, h, in.Body.Message)
	})
}

// wholeCeremony does something about a ceremony and answers with all of it.
func (s *Server) wholeCeremony(do func(*archive.Board) (*archive.Ceremony, error)) (*answer[api.Ceremony], error) {
	board, err := s.board()
	if err != nil {
		return nil, err
	}
	c, err := do(board)
	if err != nil {
		return nil, err
	}
	out := ceremonyOf(c)
	out.Plan, out.Intermediates, out.Messages = c.Plan.Bytes(), c.Intermediates, c.Messages
	if c.Previous != nil {
		out.Previous = c.Previous.Bytes()
	}
	return &answer[api.Ceremony]{out}, nil
}

// rounds are the names of a ceremony's rounds on the wire.
var rounds = map[record.Round]string{record.RoundCommit: "commit", record.RoundReveal: "reveal", record.RoundAcknowledge: "acknowledge", record.RoundDone: "done"}

func ceremonyOf(c *archive.Ceremony) api.Ceremony {
	out := api.Ceremony{Hash: c.Plan.Hash().String(), Archive: c.Plan.Archive, Epoch: int(c.Plan.Epoch), Round: rounds[c.Round], Missing: []int{},
		Opened: utc(c.Opened), Changed: utc(c.Changed)}
	for _, id := range c.Missing {
		out.Missing = append(out.Missing, int(id))
	}
	return out
}

var (
	exampleListedCeremony = api.Ceremony{Hash: exampleHash, Archive: "Example GmbH", Epoch: 1, Round: "reveal", Missing: []int{2}, Opened: exampleTime, Changed: exampleTime}
	exampleCeremony       = wholeCeremonyExample()
)

func wholeCeremonyExample() api.Ceremony {
	c := exampleListedCeremony
	c.Plan, c.Intermediates, c.Messages = exampleDER, [][]byte{exampleDER}, [][]byte{exampleDER}
	return c
}
