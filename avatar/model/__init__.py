"""The networks: embedder E, generator G and projection discriminator D (Zakharov et al., ICCV 2019), in torch."""
