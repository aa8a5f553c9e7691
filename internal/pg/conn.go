package pg

import (
	"errors"
	"io"
	"net"
)

// isConnClosed reports whether err comes from a connection that broke. pgx has no type for that: it hands on what the
// network said, or its own text after it has noticed.
func isConnClosed(err error) bool {
	var ne net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &ne) || err.Error() == "conn closed"
}
