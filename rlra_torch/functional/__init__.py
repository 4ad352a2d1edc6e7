"""Pure tensor functions: divergences, proximal maps, einsum algebra, linear algebra."""
