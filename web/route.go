package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"github.com/sealpost/sealpost/api"
)

// route builds the router with every operation, and the document that describes them.
func (s *Server) route() error {
	s.router = chi.NewMux()
	s.router.Use(headIsGet)
	s.router.NotFound(func(w http.ResponseWriter, r *http.Request) { refuse(w, r, ErrNoRoute) })
	s.router.MethodNotAllowed(s.methodNotAllowed)
	// "json" is how huma finds the format of media types that end in +json.
	s.api = humachi.New(s.router, huma.Config{
		OpenAPI: openAPI(), Formats: map[string]huma.Format{mediaJSON: strictJSON, "json": strictJSON}, DefaultFormat: mediaJSON,
		RejectUnknownQueryParameters: true,
	})
	s.enrolmentOperations()
	s.tokenOperations()
	s.renewalOperations()
	s.advertisementOperations()
	s.certificateOperations()
	s.findingOperations()
	s.leaverOperations()
	s.galOperations()
	s.contactOperations()
	s.issuerOperations()
	s.listOperations()
	s.receiptOperations()
	s.historyOperations()
	s.caseOperations()
	s.logOperations()
	s.ceremonyOperations()
	s.importOperations()
	s.parcelOperations()
	s.machineOperations()
	s.systemOperations()
	var err error
	if s.document, err = marshalDocument(s.api.OpenAPI()); err != nil {
		return err
	}
	s.router.Get(api.Base+"/openapi.json", s.serveDocument)
	return nil
}

// strictJSON refuses members that nobody knows, so that a misspelt one is not silently left out. A machine's report alone may have some: an
// agent that is newer than the server says more, and what else it says must not be lost for that.
var strictJSON = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(data []byte, v any) error {
		d := json.NewDecoder(bytes.NewReader(data))
		if _, newer := v.(*api.MachineReport); !newer {
			d.DisallowUnknownFields()
		}
		if err := d.Decode(v); err != nil {
			return err
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return errors.New("there is more after the JSON value")
		}
		return nil
	},
}

// headIsGet answers HEAD as GET; net/http leaves the body out.
func headIsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			chi.RouteContext(r.Context()).RouteMethod = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

// methodNotAllowed says which methods an address takes (RFC 9110, 15.5.6).
func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		if s.router.Match(chi.NewRouteContext(), m, r.URL.Path) {
			allowed = append(allowed, m)
			if m == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	refuse(w, r, ErrMethod.Withf("This address takes %s.", strings.Join(allowed, ", ")))
}

func (s *Server) serveDocument(w http.ResponseWriter, r *http.Request) {
	callOf(r.Context()).operation = "openapi"
	serveFixed(w, r, fixed{media: mediaJSON, cache: "no-cache", content: s.document})
}
