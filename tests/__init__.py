"""What visavis promises, tried on real parts. Files without `test_` make the pictures, clips and servers for them."""
