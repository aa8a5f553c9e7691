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

// TimesSecond returns s·G₂ as it is computed, and as circl computes it.
func TimesSecond(s Scalar) (got, want [PointSize]byte) {
	return timesSecond(s.s), encoded(curve.NewElement().Mul(secondGenerator(), s.s))
}

// PublicCommitments returns f·G − c·R and f·G₂ − c·R₂ as they are computed, and as circl computes them.
func PublicCommitments(f, c Scalar, r, r2 Point) (got, want [2][PointSize]byte, err error) {
	got[0], got[1] = publicCommitments(f.s, c.s, r, r2)
	minus := curve.NewScalar()
	minus.Neg(c.s)
	for i, p := range []Point{r, r2} {
		e, err := p.element()
		if err != nil {
			return got, want, err
		}
		w := curve.NewElement().MulGen(f.s)
		if i == 1 {
			w = curve.NewElement().Mul(secondGenerator(), f.s)
		}
		want[i] = encoded(w.Add(w, e.Mul(e, minus)))
	}
	return got, want, nil
}
