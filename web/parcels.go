package web

import (
	"context"
	"net/http"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

const tagParcels = "Parcels"

func (s *Server) parcelOperations() {
	op := func(o operation, faults ...*fault.Error) operation {
		o.tag, o.who = tagParcels, known
		o.faults = append(faults, ErrNoArchive)
		return o
	}
	one := exampleParcel
	one.Content = exampleDER
	register(s, op(operation{id: "listParcels", method: http.MethodGet, path: "/parcels", summary: "Your parcels, by name",
		about:  "A parcel is what one of your devices left for another, sealed before it came: the server cannot look into it. There are at most 32, with 16 MiB together.",
		answer: api.Page[api.Parcel]{Items: []api.Parcel{exampleParcel}}}), s.listParcels)
	register(s, op(operation{id: "getParcel", method: http.MethodGet, path: "/parcels/{name}", summary: "One of your parcels, whole",
		about: "That it was fetched is in the audit log.", answer: one}, archive.ErrUnknownParcel), s.getParcel)
	register(s, op(operation{id: "keepParcel", method: http.MethodPost, path: "/parcels/{name}", large: true, summary: "Keep a parcel",
		about: "Sending the same again changes nothing. To take the place of another, name the SHA-256 that it has.",
		body:  api.ParcelContent{Content: exampleDER, Minutes: 30}, answer: exampleParcel},
		archive.ErrParcel, archive.ErrParcelTaken, archive.ErrParcelsFull), s.keepParcel)
	register(s, op(operation{id: "removeParcel", method: http.MethodPost, path: "/parcels/{name}/remove", summary: "Remove one of your parcels",
		answer: exampleParcel}, archive.ErrUnknownParcel), s.removeParcel)
}

// ParcelPath names a parcel. (It is exported for huma, which does not look into other embedded structs.)
type ParcelPath struct {
	Name string `path:"name" maxLength:"128" pattern:"^[a-z0-9][a-z0-9-]*$" doc:"Lower-case letters, digits and hyphens."`
}

func (s *Server) listParcels(ctx context.Context, by signin.Caller, _ *struct{}) (*answer[api.Page[api.Parcel]], error) {
	if s.Archive == nil {
		return nil, ErrNoArchive
	}
	found, err := s.Archive.Parcels(ctx, by.Actor)
	if err != nil {
		return nil, err
	}
	out := &answer[api.Page[api.Parcel]]{Body: api.Page[api.Parcel]{Items: make([]api.Parcel, len(found))}}
	for i, p := range found {
		out.Body.Items[i] = parcelOf(p)
	}
	return out, nil
}

func (s *Server) getParcel(ctx context.Context, by signin.Caller, in *ParcelPath) (*answer[api.Parcel], error) {
	return s.parcel(func(a *archive.Archive) (*archive.Parcel, error) { return a.Parcel(ctx, by.Actor, in.Name) })
}

type parcelInput struct {
	ParcelPath
	Body api.ParcelContent
}

func (s *Server) keepParcel(ctx context.Context, by signin.Caller, in *parcelInput) (*answer[api.Parcel], error) {
	var replaces record.Hash
	if in.Body.Replaces != "" {
		var err error
		if replaces, err = record.ParseHash(in.Body.Replaces); err != nil {
			return nil, err
		}
	}
	return s.parcel(func(a *archive.Archive) (*archive.Parcel, error) {
		return a.KeepParcel(ctx, by.Actor, in.Name, in.Body.Content, replaces, time.Duration(in.Body.Minutes)*time.Minute)
	})
}

func (s *Server) removeParcel(ctx context.Context, by signin.Caller, in *ParcelPath) (*answer[api.Parcel], error) {
	return s.parcel(func(a *archive.Archive) (*archive.Parcel, error) { return a.RemoveParcel(ctx, by.Actor, in.Name) })
}

// parcel does something about a parcel and answers with it.
func (s *Server) parcel(do func(*archive.Archive) (*archive.Parcel, error)) (*answer[api.Parcel], error) {
	if s.Archive == nil {
		return nil, ErrNoArchive
	}
	p, err := do(s.Archive)
	if err != nil {
		return nil, err
	}
	return &answer[api.Parcel]{parcelOf(p)}, nil
}

func parcelOf(p *archive.Parcel) api.Parcel {
	out := api.Parcel{Name: p.Name, Size: p.Size, SHA256: p.Hash.String(), KeptAt: utc(p.KeptAt), Content: p.Content}
	if !p.EndsAt.IsZero() {
		at := utc(p.EndsAt)
		out.EndsAt = &at
	}
	return out
}

var exampleParcel = api.Parcel{Name: "transfer-0123456789abcdef-1", Size: 152, SHA256: exampleHash, KeptAt: exampleTime}
