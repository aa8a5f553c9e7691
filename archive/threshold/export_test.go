package threshold

// SecondGenerator returns G₂, for the vectors.
func SecondGenerator() (Point, error) { return pointOf(secondGenerator()) }

// TranscriptOf returns the hash that a batched proof binds, for the vectors.
var TranscriptOf = transcriptOf

// Lambdas returns the quorum's Lagrange coefficients, encoded, for the vectors.
func (q *Quorum) Lambdas() [][]byte {
	out := make([][]byte, len(q.lambdas))
	for i, l := range q.lambdas {
		out[i] = Scalar{l}.Bytes()
	}
	return out
}
